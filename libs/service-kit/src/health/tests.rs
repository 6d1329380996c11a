//! Reports, and how often the dependencies are checked for them.

use super::{
    Health,
    report::{Dependency, Report},
};
use actix_web::{App, http::StatusCode, test};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

async fn ready(health: Health) -> (StatusCode, Value) {
    let app = test::init_service(App::new().configure(|config| health.mount(config))).await;
    let request = test::TestRequest::get().uri("/health/ready").to_request();
    let response = test::call_service(&app, request).await;
    assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
    (response.status(), test::read_body_json(response).await)
}

fn down(reason: &str, is_needed: bool) -> Dependency {
    Dependency::Down { reason: reason.to_owned(), is_needed }
}

/// Each case uses its own process state, because results are cached.
#[actix_web::test]
async fn a_note_makes_nothing_unready() {
    let health = Health::default();
    health.note("silent", || None);
    health.note("lag", || Some("something waits".to_owned()));
    let up = json!({"status": "ready", "dependencies": {}, "notes": {"lag": "something waits"}});
    assert_eq!(ready(health).await, (StatusCode::OK, up));
}

#[actix_web::test]
async fn each_dependency_is_named_with_its_state() {
    let health = Health::default();
    health.add("postgres", || Box::pin(future::ready(Ok(()))));
    let up = json!({"status": "ready", "dependencies": {"postgres": {"status": "up"}}});
    assert_eq!(ready(health).await, (StatusCode::OK, up));

    let health = Health::default();
    health.add_optional("cache", || Box::pin(future::ready(Err("gone".to_owned()))));
    let (status, body) = ready(health).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("ready")));
    assert_eq!(body["dependencies"]["cache"], json!({"status": "down", "reason": "gone"}));

    let health = Health::default();
    health.add("kafka", || Box::pin(future::ready(Err("no broker".to_owned()))));
    health.add("redis", || Box::pin(future::pending()));
    let (status, body) = ready(health).await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("not ready")));
    assert_eq!(body["dependencies"]["kafka"], json!({"status": "down", "reason": "no broker"}));
    assert_eq!(body["dependencies"]["redis"]["reason"], "no answer within a second");
}

#[actix_web::test]
async fn many_callers_cost_one_look() {
    let (health, looks) = (Health::default(), Arc::new(AtomicUsize::new(0)));
    let counted = looks.clone();
    health.add("postgres", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(future::ready(Ok(())))
    });
    let reports = join_all((0..200).map(|_| health.report())).await;
    assert_eq!(looks.load(Ordering::Relaxed), 1);
    assert!(reports.iter().all(|report| Arc::ptr_eq(report, &reports[0])));
}

#[actix_web::test]
async fn a_caller_that_goes_away_does_not_stop_the_look() {
    let (health, answers) = (Health::default(), Arc::new(tokio::sync::Semaphore::new(0)));
    let (looks, counted) = (Arc::new(AtomicUsize::new(0)), answers.clone());
    let count = looks.clone();
    health.add("postgres", move || {
        count.fetch_add(1, Ordering::Relaxed);
        let answers = counted.clone();
        Box::pin(async move { answers.acquire().await.map(drop).map_err(|_| "closed".to_owned()) })
    });
    // Polled once, so that the round has begun, then dropped.
    assert!(futures_util::FutureExt::now_or_never(health.report()).is_none());
    let second = health.report();
    answers.add_permits(1);
    assert!(second.await.is_ready());
    assert_eq!(looks.load(Ordering::Relaxed), 1);
}

#[actix_web::test]
async fn the_worst_of_one_name_counts_and_says_why() {
    let name = |all: Vec<Dependency>| {
        let report = Report::of(all.into_iter().map(|found| ("postgres", found)));
        (report.is_ready(), report.dependencies.into_values().next().unwrap())
    };
    assert_eq!(name(vec![down("a", true), Dependency::Up]), (false, down("a", true)));
    assert_eq!(name(vec![Dependency::Up, down("a", false)]), (true, down("a", false)));
    assert_eq!(name(vec![down("a", false), down("b", true)]), (false, down("a; b", true)));
    assert_eq!(name(vec![down("a", true), down("a", true)]), (false, down("a", true)));
}
