//! The master key is in Vault, for which a stand-in is used.

use super::{all_refuse, goes_on, import, live, masters, refused, rotate, status};
use serde_json::json;
use tests::{Deployment, Proxy, RedisServer, Service, Stack, Vault, Way, until};

/// More keys than fit into one request to Vault, or are rewrapped at once.
const MANY: u32 = 600;

/// A deployment whose master key is in Vault, behind a proxy.
struct InVault {
    deployment: Deployment,
    vault: Vault,
    proxy: Proxy,
    _redis: RedisServer,
}

impl InVault {
    async fn start(stack: &'static Stack) -> Self {
        let (redis, vault) = (RedisServer::start().await, Vault::start());
        let proxy = Proxy::before(&vault.url()).await;
        let (addr, token) = (proxy.url(&vault.url()), vault.token());
        let settings = [("ROLLCALL_VAULT_ADDR", addr.as_str()), ("ROLLCALL_VAULT_TOKEN", token.as_str())];
        let deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
        Self { deployment, vault, proxy, _redis: redis }
    }
}

pub async fn a_master_key_in_vault_works_like_one_in_a_file(stack: &'static Stack) {
    let InVault { deployment, vault, _redis, proxy: _proxy } = InVault::start(stack).await;
    let api = deployment.tenant();
    let first = live(&api).await;
    import(&deployment, &api, MANY);
    assert_eq!(masters(&deployment), ["vault:transit/rollcall:v1"]);
    assert!(!deployment.home().join("master.key").exists(), "no file in its place");

    assert_eq!(rotate(&deployment), "vault:transit/rollcall:v2");
    assert_eq!(masters(&deployment), ["vault:transit/rollcall:v2"]);
    let master = &status(&deployment)["masters"][0];
    assert!(master["isCurrent"] == true && master["since"].is_string(), "{master}");
    // The users' keys, and the secret of the ids.
    assert_eq!(master["keys"], MANY + 2);
    assert_eq!(vault.versions("rollcall"), Some((2, 2)), "the old version decrypts no more");

    api.update(&first, json!({ "claims": { "n": 4 } })).await.expect(200);
    let second = live(&api).await;
    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    assert_eq!(api.get(&first).await.expect(200).json()["claims"]["n"], 4);
    assert_eq!(api.all(500).await.len(), MANY as usize + 2);
    api.delete(&second).await.expect(204);
}

pub async fn without_vault_reads_go_on_and_writes_are_rejected(stack: &'static Stack) {
    let InVault { mut deployment, vault, proxy, _redis } = InVault::start(stack).await;
    let api = deployment.tenant();
    let (id, gone) = (live(&api).await, live(&api).await);
    // Cached keys would still be used for a while.
    deployment.crash(Service::Command).await;

    proxy.set(Way::Refused);
    refused(api.create(json!({})).await);
    refused(api.update(&id, json!({ "claims": {} })).await);
    api.get(&id).await.expect(200);
    assert_eq!(api.all(100).await.len(), 2);
    // Destroying a key does not require unwrapping it.
    api.delete(&gone).await.expect(204);

    proxy.set(Way::Open);
    vault.seal(true);
    refused(api.create(json!({})).await);
    refused(api.update(&id, json!({ "claims": {} })).await);
    vault.seal(false);
    goes_on(&api).await;
    api.update(&id, json!({ "claims": { "n": 9 } })).await.expect(200);
    live(&api).await;
}

pub async fn a_token_is_renewed_and_read_again(stack: &'static Stack) {
    let (redis, vault) = (RedisServer::start().await, Vault::start());
    vault.set_ttl(60);
    let file = tests::scratch("token").join("vault-token");
    std::fs::write(&file, vault.token()).unwrap();
    let (addr, path) = (vault.url(), file.display().to_string());
    let settings = [("ROLLCALL_VAULT_ADDR", addr.as_str()), ("ROLLCALL_VAULT_TOKEN_FILE", path.as_str())];
    let deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
    let api = deployment.tenant();
    live(&api).await;
    until("both services have renewed it", async || (vault.renewals() >= 2).then_some(())).await;

    let token = vault.replace_token();
    refused(api.create(json!({})).await);
    let health = format!("{}/health/ready", deployment.url(Service::Command));
    until("the health says that Vault rejects the token", async || {
        let answer = reqwest::get(&health).await.ok()?;
        (answer.status() == 503 && answer.text().await.ok()?.contains("Vault rejects the token"))
            .then_some(())
    })
    .await;
    std::fs::write(&file, token + "\n").unwrap();
    goes_on(&api).await;
    live(&api).await;
}

pub async fn problems_of_vault_are_reported(stack: &'static Stack) {
    let InVault { mut deployment, vault, _redis, proxy: _proxy } = InVault::start(stack).await;
    let api = deployment.tenant();
    let id = live(&api).await;
    let wrong = |name: &'static str| [(name, "wrong")];
    all_refuse(&mut deployment, &wrong("ROLLCALL_VAULT_TOKEN"), &["ROLLCALL_VAULT_TOKEN"]).await;
    all_refuse(
        &mut deployment,
        &wrong("ROLLCALL_VAULT_MOUNT"),
        &["ROLLCALL_VAULT_MOUNT", "no transit engine at wrong/"],
    )
    .await;
    all_refuse(
        &mut deployment,
        &wrong("ROLLCALL_VAULT_KEY"),
        &["ROLLCALL_VAULT_KEY", "no key transit/wrong"],
    )
    .await;
    assert_eq!(vault.versions("wrong"), None, "none is made in the place of one that is missing");
    api.update(&id, json!({ "claims": {} })).await.expect(200);

    vault.lose("rollcall");
    all_refuse(&mut deployment, &[], &["ROLLCALL_VAULT_KEY", "no key transit/rollcall"]).await;
    refused(api.create(json!({})).await);
    assert_eq!(vault.versions("rollcall"), None);
    api.get(&id).await.expect(200);
}
