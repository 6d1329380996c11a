//! Whether this process can do its work, dependency by dependency.

use actix_web::{
    HttpResponse, guard,
    http::header,
    web::{self, ServiceConfig},
};
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// How long a dependency may take to show that it is there.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
type Note = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The checks of `/health/ready`. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<RwLock<Vec<Named>>>,
    notes: Arc<RwLock<BTreeMap<&'static str, Note>>>,
}

/// A check under the name of its dependency.
#[derive(Clone)]
struct Named {
    name: &'static str,
    check: Check,
    /// Whether nothing works without it.
    is_needed: bool,
}

/// What a dependency's check found.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Dependency {
    Up,
    Down {
        reason: String,
        #[serde(skip)]
        is_needed: bool,
    },
}

/// The body of `/health/ready`.
#[derive(Serialize)]
struct Report {
    status: &'static str,
    dependencies: BTreeMap<&'static str, Dependency>,
    /// What an operator should know of, though the process does its work.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    notes: BTreeMap<&'static str, String>,
}

impl Health {
    /// Adds a named dependency; `check` says in words what is wrong (bounded to 1 s, run when asked, never with secrets in the text).
    pub fn add(
        &self,
        name: &'static str,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) {
        self.push(Named { name, check: Arc::new(check), is_needed: true });
    }

    /// Adds a dependency whose loss makes the process slower and nothing else: it is named with its state like any other,
    /// but the process is ready without it.
    pub fn add_optional(
        &self,
        name: &'static str,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) {
        self.push(Named { name, check: Arc::new(check), is_needed: false });
    }

    /// Adds something that an operator should know of whenever `note` has words for it. It makes nothing unready. Asked with every report, so
    /// it must be known already; no secrets, and no personal data.
    pub fn note(&self, name: &'static str, note: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.notes.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(note));
    }

    /// What there is to know of.
    fn notes(&self) -> BTreeMap<&'static str, String> {
        let notes = self.notes.read().unwrap_or_else(PoisonError::into_inner);
        notes.iter().filter_map(|(name, note)| Some((*name, note()?))).collect()
    }

    fn push(&self, named: Named) {
        self.checks.write().unwrap_or_else(PoisonError::into_inner).push(named);
    }

    /// Whether every dependency is up that is needed.
    pub async fn is_ready(&self) -> bool {
        self.dependencies().await.values().all(Dependency::can_do)
    }

    /// Asks all dependencies at once.
    async fn dependencies(&self) -> BTreeMap<&'static str, Dependency> {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = checks.into_iter().map(async |named| (named.name, Dependency::ask(named).await));
        join_all(asked).await.into_iter().collect()
    }

    /// Mounts `/health/live` and `/health/ready`.
    pub(crate) fn mount(self, config: &mut ServiceConfig) {
        let ready = move || {
            let health = self.clone();
            async move { report(health.dependencies().await, health.notes()) }
        };
        config
            .service(web::resource("/health/live").guard(guard::Get()).to(live))
            .service(web::resource("/health/ready").guard(guard::Get()).to(ready));
    }
}

impl Dependency {
    async fn ask(Named { check, is_needed, .. }: Named) -> Self {
        match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
            Ok(Ok(())) => Self::Up,
            Ok(Err(reason)) => Self::Down { reason, is_needed },
            Err(_) => Self::Down { reason: "no answer within a second".to_owned(), is_needed },
        }
    }

    /// Up, or not needed.
    fn can_do(&self) -> bool {
        !matches!(self, Self::Down { is_needed: true, .. })
    }
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().insert_header(NOT_CACHED).json(serde_json::json!({"status": "ok"}))
}

fn report(
    dependencies: BTreeMap<&'static str, Dependency>,
    notes: BTreeMap<&'static str, String>,
) -> HttpResponse {
    let is_ready = dependencies.values().all(Dependency::can_do);
    let mut response = if is_ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let status = if is_ready { "ready" } else { "not ready" };
    response.insert_header(NOT_CACHED).json(Report { status, dependencies, notes })
}

const NOT_CACHED: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, http::StatusCode, test};
    use serde_json::{Value, json};
    use std::future;

    async fn ready(health: Health) -> (StatusCode, Value) {
        let app = test::init_service(App::new().configure(|config| health.mount(config))).await;
        let request = test::TestRequest::get().uri("/health/ready").to_request();
        let response = test::call_service(&app, request).await;
        assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
        (response.status(), test::read_body_json(response).await)
    }

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
        assert_eq!(ready(health.clone()).await, (StatusCode::OK, up));

        health.add_optional("cache", || Box::pin(future::ready(Err("gone".to_owned()))));
        let (status, body) = ready(health.clone()).await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("ready")));
        assert_eq!(body["dependencies"]["cache"], json!({"status": "down", "reason": "gone"}));

        health.add("kafka", || Box::pin(future::ready(Err("no broker".to_owned()))));
        health.add("redis", || Box::pin(future::pending()));
        let (status, body) = ready(health).await;
        assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("not ready")));
        assert_eq!(body["dependencies"]["kafka"], json!({"status": "down", "reason": "no broker"}));
        assert_eq!(body["dependencies"]["redis"]["reason"], "no answer within a second");
    }
}
