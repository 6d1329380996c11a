//! Requests, responses and the local pair.

use crate::{
    auth::{Authenticator, local, local_token, testing::*},
    problem::{Code, Problem},
    settings::{Jwks, Settings},
};
use actix_web::test::TestRequest;
use jsonwebtoken::{Algorithm, get_current_timestamp};
use serde_json::json;
use std::time::Duration;

fn with_file(keys: &[&TestKey]) -> (tempfile::TempDir, Authenticator) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("set.json");
    std::fs::write(&path, document(&keys.iter().map(|key| key.public()).collect::<Vec<_>>())).unwrap();
    let authenticator = Authenticator::of(&jwt_settings(Jwks::File(path)), home.path()).unwrap();
    (home, authenticator)
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<crate::auth::Principal, Problem> {
    let request = TestRequest::default().insert_header(("Authorization", format!("Bearer {token}")));
    authenticator.authenticate(&request.to_http_request()).await
}

fn challenge(problem: &Problem) -> &str {
    &problem.headers.iter().find(|(name, _)| *name == "WWW-Authenticate").unwrap().1
}

#[tokio::test]
async fn a_believed_token_is_believed_again() {
    let key = TestKey::new(Algorithm::RS256, Some("k"));
    let (_home, authenticator) = with_file(&[&key]);
    let token = key.sign(&claims());
    let first = ask(&authenticator, &token).await.unwrap();
    assert_eq!(ask(&authenticator, &token).await.unwrap(), first);
}

#[tokio::test]
async fn a_refusal_says_what_to_mend_and_echoes_nothing() {
    let key = TestKey::new(Algorithm::EdDSA, Some("k"));
    let (_home, authenticator) = with_file(&[&key]);
    let expired = key.sign(&claims_with("exp", json!(get_current_timestamp() - 60)));
    let problem = ask(&authenticator, &expired).await.unwrap_err();
    assert_eq!(problem.code, Code::Unauthorized);
    assert!(problem.message.contains("expired"));
    assert!(challenge(&problem).starts_with(r#"Bearer error="invalid_token", error_description=""#));
    let answer = format!("{} {:?}", serde_json::to_string(&problem).unwrap(), problem.headers);
    assert!(!answer.contains(&expired[..20]));
}

#[tokio::test]
async fn without_a_token_the_challenge_is_bare() {
    let (_home, authenticator) = with_file(&[]);
    let request = TestRequest::default().to_http_request();
    let problem = authenticator.authenticate(&request).await.unwrap_err();
    assert_eq!((problem.code, challenge(&problem)), (Code::Unauthorized, "Bearer"));
}

#[tokio::test]
async fn a_local_token_is_believed_by_the_local_pair_alone() {
    let home = tempfile::tempdir().unwrap();
    let vars = [("ROLLCALL_HOME".to_owned(), home.path().to_str().unwrap().to_owned())];
    let settings = Settings::from_vars(vars, "127.0.0.1:0").unwrap();
    let authenticator = Authenticator::new(&settings).unwrap();
    let tenant = "acme".parse().unwrap();
    let make =
        || local_token(&settings, &tenant, "users:read", Duration::from_secs(60), Some("cli")).unwrap();
    let principal = ask(&authenticator, &make()).await.unwrap();
    assert_eq!((principal.tenant, principal.client_id.as_deref()), (tenant.clone(), Some("cli")));
    assert!(principal.can_read && !principal.can_write);
    // A new pair, as on another machine, replaces the old one.
    let old = make();
    std::fs::remove_file(home.path().join("jwt.key")).unwrap();
    local::ensure(home.path()).unwrap();
    assert!(ask(&authenticator, &make()).await.is_ok());
    assert!(ask(&authenticator, &old).await.is_err());
}
