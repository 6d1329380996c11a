//! Records a golden log: some of everything that this build writes, and that others may write.

use super::{EXPECTED, KEYS, LOG, MASTER, expected, folded_to, folder, keys, lines};
use crate::{Api, Deployment, Foreign, RedisServer, Stack, read_raw, until};
use serde_json::{Value, json};
use std::fs;
use uuid::Uuid;

/// Records a golden log under a name that is new.
///
/// # Panics
/// The name is taken, or the service refuses something.
pub async fn record(stack: &'static Stack, name: &str) {
    let dir = folder().join(name);
    assert!(!dir.exists(), "{} exists: golden logs are never edited", dir.display());
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    for api in [deployment.tenant(), deployment.tenant()] {
        populate(&deployment, &api).await;
    }
    let records = read_raw(deployment.brokers(), &deployment.prefix).await;
    is_folded(&deployment, records.len()).await;

    fs::create_dir(&dir).expect("a folder");
    let write = |name: &str, text: String| fs::write(dir.join(name), text).expect("a file");
    write(LOG, records.iter().map(|record| lines::print(record) + "\n").collect());
    write(KEYS, format!("{:#}\n", keys::dump(&deployment.keys).await));
    let master = fs::read_to_string(deployment.home().join(MASTER)).expect("the master key");
    write(
        MASTER,
        format!("# A master key of the tests. It is no secret, and no deployment uses it.\n{master}"),
    );
    let folded = folded_to(&deployment.database, &expected::described()).await;
    write(EXPECTED, format!("{folded:#}\n"));
}

/// Waits until the live generation has that many records, whether or not they could be folded.
///
/// # Panics
/// That never happens.
pub async fn is_folded(deployment: &Deployment, records: usize) {
    until("the log is folded", async || {
        let folded: Option<i64> = sqlx::query_scalar("SELECT sum(next_offset)::bigint FROM live.checkpoints")
            .fetch_one(&deployment.database)
            .await
            .expect("the checkpoints");
        (usize::try_from(folded?) == Ok(records)).then_some(())
    })
    .await;
}

async fn populate(deployment: &Deployment, api: &Api) {
    let [plain, linked, gone, parked] = users(api).await;
    credentials(deployment, api, &linked, &gone).await;
    let key = |user: &str| format!("{}/{user}", api.tenant);
    let older = json!({ "createdAt": "2020-02-03T04:05:06.789Z", "personal": { "claims": { "form": "older than keys" } } });
    let unsealed = Foreign::event(&key(&Uuid::new_v4().to_string()), "user.created.v1", older.to_string());
    let records = [
        Foreign::deletion(&key(&plain), 1),
        Foreign::deletion(&key(&gone), 9),
        Foreign::deletion(&key(&parked), 7),
        Foreign::event(&key(&parked), "user.updated.v1", "no JSON").header("ce_sequence", "2"),
        Foreign::event(&key(&linked), "user.renamed.v1", "an unknown type"),
        Foreign::deletion(&key(&linked), 2).keyed(None),
        unsealed.header("ce_sequence", "1"),
    ];
    deployment.append("users.events", &records).await;
}

/// Created, updated, deleted, repeated and imported users. Returns one that was updated, one with a
/// link, one that was deleted, and one to be parked.
async fn users(api: &Api) -> [String; 4] {
    let claims = json!({
        "nothing": null, "whole": [0, -1, i64::MIN, u64::MAX], "fraction": [0.1, 1e300, -2.5e-7], "text": "Zoë \u{1f980} \"\\\n",
        "deep": { "a": [{ "b": [[], {}] }] }, "truth": [true, false], "empty": {},
    });
    let link = json!({ "providerId": Uuid::new_v4(), "url": "https://idp.example/realm?a=b", "subjectId": "subject ä" });
    let plain = api.create(json!({ "claims": claims })).await.expect(201).id();
    api.update(&plain, json!({ "claims": claims })).await.expect(200);
    let repeated = json!({ "claims": {}, "authenticationProvider": link });
    let linked = api.create(repeated).header("Idempotency-Key", "golden").await.expect(201).id();
    api.update(&linked, json!({ "claims": { "n": 2 }, "authenticationProvider": { "subjectId": "other" } }))
        .await
        .expect(200);
    api.update(&linked, json!({ "claims": { "n": 3 } })).await.expect(200);
    let gone = api.user(json!({ "soon": "gone" })).await;
    api.update(&gone, json!({ "claims": {} })).await.expect(200);
    api.delete(&gone).await.expect(204);
    [plain, linked, gone, api.user(json!({ "will": "be parked" })).await]
}

/// Credentials of every profile, in every status, of a living, a deleted and an unknown user.
async fn credentials(deployment: &Deployment, api: &Api, living: &str, gone: &str) {
    let issued = |user: &str, profile: &str| json!({ "userId": user, "id": Uuid::new_v4(), "type": "T", "profile": profile });
    let mut full = issued(living, "mobile");
    let members = json!({
        "offerId": "offer", "sessionId": "session", "credentialConfigurationId": "configuration",
        "issuedDate": "2026-01-02T03:04:05Z", "validFrom": "2026-01-02T03:04:05.5+02:00", "validUntil": "2030-01-01T00:00:00Z",
        "status": "valid", "devicePublicKey": { "kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ" },
        "namespaces": { "org.iso.18013.5.1": ["family_name"] }, "msoHash": "hash", "createdAt": "2026-01-02T03:04:05.678Z",
    });
    full.as_object_mut().expect("an object").extend(members.as_object().cloned().expect("an object"));
    let with = |mut line: Value, name: &str, value: &str| {
        line[name] = value.into();
        line
    };
    let lines = [
        full,
        with(issued(living, "compact"), "status", "suspended"),
        with(issued(living, "compact-semantic"), "status", "revoked"),
        with(issued(living, "web-semantic"), "devicePublicKey", "pQECAyYgASFYIA"),
        issued(gone, "mobile"),
        issued(&Uuid::new_v4().to_string(), "mobile"),
    ];
    let ids: Vec<Value> = lines.iter().map(|line| line["id"].clone()).collect();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let import = ["log", "import", "-", "--no-wait", "--tenant", &api.tenant];
    deployment.cli.run_with(&[&import[..], &["--credentials"]].concat(), &text).expect(0);
    let users = "{\"claims\":{\"imported\":1}}\n{\"createdAt\":\"2001-02-03T04:05:06.789Z\",\"claims\":{}}\n";
    deployment.cli.run_with(&import, users).expect(0);
    let changed = |user: &str, id: &Value, status: &str| {
        let data = json!({ "id": id, "status": status }).to_string();
        Foreign::event(&format!("{}/{user}", api.tenant), "credential.status-changed.v1", data)
    };
    let facts = [
        changed(living, &ids[0], "suspended"),
        changed(living, &ids[1], "valid"),
        changed(living, &ids[2], "valid"),
        changed(living, &ids[3], "revoked"),
        changed(living, &json!(Uuid::new_v4()), "suspended").without("ce_time"),
        changed(living, &ids[3], "lost"),
        changed(gone, &ids[4], "revoked"),
    ];
    deployment.append("users.credentials", &facts).await;
}
