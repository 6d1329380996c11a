//! Authentication and authorization.

use serde_json::{Value, json};
use tests::{Api, Call, Claims, Stack};
use uuid::Uuid;

/// Each operation once, valid except for its token.
fn operations(api: &Api) -> [(&'static str, Call); 7] {
    let id = Uuid::new_v4().to_string();
    [
        ("create", api.create(json!({}))),
        ("get", api.get(&id)),
        ("update", api.update(&id, json!({ "claims": {} }))),
        ("delete", api.delete(&id)),
        ("list", api.list("")),
        ("search", api.search(json!({}))),
        ("credentials", api.credentials(&id, "")),
    ]
}

async fn unauthorized(name: &str, call: Call) {
    let answer = call.await;
    assert_eq!(answer.status, 401, "{name}");
    assert_eq!(answer.json()["code"], "Unauthorized", "{name}");
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{name}");
}

pub async fn without_a_token_nothing_is_answered(stack: &'static Stack) {
    for (name, call) in operations(&stack.tenant().anonymous()) {
        unauthorized(name, call).await;
    }
}

pub async fn only_a_valid_token_is_accepted(stack: &'static Stack) {
    let (api, signer) = (stack.tenant(), stack.signer());
    let good = signer.claims(&api.tenant);
    let now = good["iat"].as_i64().unwrap();
    let changed =
        |name: &str, value: Value| signer.with(&api.tenant, |claims| drop(claims.insert(name.into(), value)));
    let without = |name: &str| signer.with(&api.tenant, |claims| drop(claims.remove(name)));
    let mut tampered = signer.sign(&good);
    tampered.replace_range(tampered.len() - 8.., "AAAAAAAA");
    let bad = [
        ("no token at all", String::new()),
        ("not a token", "abc".into()),
        ("three empty parts", "..".into()),
        ("a token's head alone", signer.sign(&good).split('.').next().unwrap().into()),
        ("another signature", tampered),
        ("algorithm none", signer.unsigned(&good)),
        ("the public key as a secret", signer.symmetric(&good)),
        ("another issuer", changed("iss", json!("someone"))),
        ("no issuer", without("iss")),
        ("another audience", changed("aud", json!("something"))),
        ("no audience", without("aud")),
        ("expired", changed("exp", json!(now - 3600))),
        ("no expiry", without("exp")),
        ("an expiry that is a text", changed("exp", json!("tomorrow"))),
        ("not yet valid", changed("nbf", json!(now + 3600))),
        ("no tenant", without("tenant_id")),
        ("an empty tenant", changed("tenant_id", json!(""))),
        ("a tenant with a slash", changed("tenant_id", json!("a/b"))),
        ("a tenant with a space", changed("tenant_id", json!("a b"))),
        ("a tenant that is too long", changed("tenant_id", json!("x".repeat(65)))),
        ("a tenant beyond ASCII", changed("tenant_id", json!("ä"))),
        ("a tenant that is a number", changed("tenant_id", json!(1))),
        ("a tenant that is a list", changed("tenant_id", json!(["a"]))),
    ];
    for (name, token) in bad {
        unauthorized(name, api.with_token(&token).list("")).await;
    }
    api.with_token(&signer.sign(&good)).list("").await.expect(200);
    for tenant in ["A", "a.B_9-", &"x".repeat(64)] {
        api.with_token(&signer.sign(&signer.claims(tenant))).list("limit=1").await.expect(200);
    }
    api.with_token(&changed("aud", json!(["other", "rollcall"]))).list("").await.expect(200);
}

pub async fn other_schemes_are_not_bearer(stack: &'static Stack) {
    let api = stack.tenant();
    let token = api.token.clone().unwrap();
    for header in [
        "Basic dTpw".to_owned(),
        token.clone(),
        format!("Token {token}"),
        "Bearer".to_owned(),
        format!("Bearer{token}"),
    ] {
        unauthorized(&header[..6], api.anonymous().list("").header("Authorization", &header)).await;
    }
    api.anonymous().list("").header("Authorization", &format!("bearer {token}")).await.expect(200);
}

pub async fn a_scope_allows_only_its_operations(stack: &'static Stack) {
    let (api, signer) = (stack.tenant(), stack.signer());
    let scoped =
        |change: &dyn Fn(&mut Claims)| api.with_token(&signer.with(&api.tenant, |claims| change(claims)));
    let reader = scoped(&|claims| drop(claims.insert("scope".into(), json!("users:read"))));
    let writer = scoped(&|claims| drop(claims.insert("scope".into(), json!("other users:write"))));
    let nobody = scoped(&|claims| drop(claims.remove("scope")));
    let prefixed = scoped(&|claims| drop(claims.insert("scope".into(), json!("users:readers xusers:write"))));
    for (who, api, may_read, may_write) in [
        ("reader", reader, true, false),
        ("writer", writer, false, true),
        ("nobody", nobody, false, false),
        ("prefixed", prefixed, false, false),
    ] {
        for (name, call) in operations(&api) {
            let writes = matches!(name, "create" | "update" | "delete");
            let answer = call.await;
            let refused = answer.status == 403;
            assert_eq!(
                refused,
                !if writes { may_write } else { may_read },
                "{who}, {name}: {}",
                answer.status
            );
            assert!(!refused || answer.json()["code"] == "Forbidden");
        }
    }
}

pub async fn a_token_of_rollcall_has_the_requested_claims(stack: &'static Stack) {
    let tenant = stack.tenant().tenant;
    let args = ["token", "--tenant", &tenant, "--scope", "users:read", "--ttl", "60", "--client-id", "c-1"];
    let token = stack.cli().run(&args).expect(0).stdout.trim().to_owned();
    let api = stack.tenant().with_token(&token);
    api.list("").await.expect(200);
    api.create(json!({})).await.expect(403);
}

pub async fn health_and_documents_need_no_token(stack: &'static Stack) {
    let nobody = stack.tenant().anonymous();
    for path in ["/health/live", "/health/ready", "/metrics"] {
        nobody.path(reqwest::Method::GET, path).await.expect(200);
    }
    let ready = nobody.path(reqwest::Method::GET, "/health/ready").await;
    for dependency in ["postgres", "redis", "kafka"] {
        assert!(
            ready.text().to_lowercase().contains(dependency),
            "ready names {dependency}: {}",
            ready.text()
        );
    }
}
