//! Key sets that change or are unavailable.

use crate::{
    auth::{Authenticator, Principal, testing::*},
    problem::{Code, Problem},
    settings::Jwks,
};
use actix_web::{
    App, HttpResponse, HttpServer,
    dev::ServerHandle,
    test::TestRequest,
    web::{self, Data},
};
use jsonwebtoken::Algorithm;
use std::{
    fs,
    net::TcpListener,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// An issuer's server: its response, and how often it was asked.
#[derive(Default)]
struct Issuer {
    body: Mutex<Option<Vec<u8>>>,
    asked: AtomicUsize,
}

impl Issuer {
    fn publish(&self, keys: &[&TestKey]) {
        *self.body.lock().unwrap() = Some(document(&keys.iter().map(|key| key.public()).collect::<Vec<_>>()));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(issuer: Data<Issuer>) -> HttpResponse {
    issuer.asked.fetch_add(1, Ordering::SeqCst);
    match issuer.body.lock().unwrap().clone() {
        Some(body) => HttpResponse::Ok().body(body),
        None => HttpResponse::InternalServerError().finish(),
    }
}

fn serve() -> (Data<Issuer>, Authenticator, ServerHandle) {
    let issuer = Data::new(Issuer::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let data = issuer.clone();
    let server =
        HttpServer::new(move || App::new().app_data(data.clone()).route("/jwks", web::get().to(answer)))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
    let handle = server.handle();
    tokio::spawn(server);
    let authenticator = Authenticator::of(&jwt_settings(Jwks::Url(url)), Path::new("unused")).unwrap();
    (issuer, authenticator, handle)
}

async fn ask(authenticator: &Authenticator, key: &TestKey) -> Result<Principal, Problem> {
    let token = format!("Bearer {}", key.sign(&claims()));
    let request = TestRequest::default().insert_header(("Authorization", token)).to_http_request();
    authenticator.authenticate(&request).await
}

#[actix_web::test]
async fn a_key_set_is_fetched_once_for_all_and_again_for_a_new_key() {
    let (issuer, authenticator, server) = serve();
    let (old, new, strange) = (
        TestKey::new(Algorithm::EdDSA, Some("1")),
        TestKey::new(Algorithm::ES256, Some("2")),
        TestKey::new(Algorithm::EdDSA, Some("3")),
    );
    issuer.publish(&[&old]);
    let many = futures_util::future::join_all((0..20).map(|_| ask(&authenticator, &old))).await;
    assert!(many.iter().all(Result::is_ok));
    assert_eq!(issuer.asked(), 1);
    issuer.publish(&[&old, &new]);
    assert!(ask(&authenticator, &new).await.is_ok());
    assert_eq!(issuer.asked(), 2);
    // However many unknown keys arrive, the issuer is left alone for a while.
    for _ in 0..5 {
        assert_eq!(ask(&authenticator, &strange).await.unwrap_err().code, Code::Unauthorized);
    }
    assert_eq!(issuer.asked(), 2);
    server.stop(false).await;
}

#[actix_web::test]
async fn without_a_key_set_nobody_can_be_verified() {
    let (_issuer, authenticator, server) = serve();
    let problem = ask(&authenticator, &TestKey::new(Algorithm::EdDSA, None)).await.unwrap_err();
    assert_eq!(problem.code, Code::ServiceUnavailable);
    assert!(problem.headers.iter().any(|(name, _)| *name == "Retry-After"));
    server.stop(false).await;
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_a_broken_one_is_not_believed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("set.json");
    let (old, new) = (TestKey::new(Algorithm::EdDSA, Some("1")), TestKey::new(Algorithm::EdDSA, Some("2")));
    fs::write(&path, document(&[old.public()])).unwrap();
    let authenticator = Authenticator::of(&jwt_settings(Jwks::File(path.clone())), home.path()).unwrap();
    assert!(ask(&authenticator, &old).await.is_ok());
    fs::write(&path, document(&[new.public(), old.public()])).unwrap();
    assert!(ask(&authenticator, &new).await.is_ok());
    fs::write(&path, "{").unwrap();
    assert_eq!(
        ask(&authenticator, &TestKey::new(Algorithm::EdDSA, Some("3"))).await.unwrap_err().code,
        Code::Unauthorized
    );
    assert!(ask(&authenticator, &old).await.is_ok());
}
