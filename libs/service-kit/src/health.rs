//! Whether this process can do its work, dependency by dependency.
//!
//! Anyone may ask, as often as they like, so asking costs the same whoever asks: the dependencies are asked once a second at most, one look
//! at a time, and every caller gets the answer of the last look.

mod postgres;

pub use postgres::Probe;

use actix_web::{
    HttpResponse, guard,
    http::header,
    web::{self, ServiceConfig},
};
use futures_util::future::{BoxFuture, join_all};
use prometheus::{IntCounter, register_int_counter};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// How long a dependency may take to show that it is there.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the answer holds that everything is there …
const READY: Duration = Duration::from_secs(1);
/// … and that something is not, so that a start is seen soon.
const NOT_READY: Duration = Duration::from_millis(250);

/// Registering fails only where the name is taken; then nothing is counted, and nothing else suffers.
static LOOKS: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    let help = "Times that the dependencies were asked for the health of this process";
    register_int_counter!("rollcall_health_looks_total", help).ok()
});

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
type Note = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The checks of `/health/ready`. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    checks: RwLock<Vec<Named>>,
    notes: RwLock<BTreeMap<&'static str, Note>>,
    /// Where checks run: connections must not belong to a worker that may be busy with requests.
    runtime: OnceLock<Handle>,
    last: RwLock<Option<Answer>>,
    /// Held by who asks the dependencies.
    asking: tokio::sync::Mutex<()>,
}

/// What the dependencies said, and when they were asked.
struct Answer {
    asked: Instant,
    report: Arc<Report>,
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
#[derive(Debug, PartialEq, Eq, Serialize)]
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
    /// Adds a named dependency; `check` says in words what is wrong (bounded to 1 s, run when asked, never with secrets in the text). Of
    /// several under one name the worst counts.
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
        self.0.notes.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(note));
    }

    fn push(&self, named: Named) {
        LazyLock::force(&LOOKS);
        if let Ok(runtime) = Handle::try_current() {
            self.0.runtime.get_or_init(|| runtime);
        }
        self.0.checks.write().unwrap_or_else(PoisonError::into_inner).push(named);
    }

    /// What is down that is needed, each with its reason; nothing: the process is ready.
    pub async fn lacks(&self) -> BTreeMap<&'static str, String> {
        let report = self.report().await;
        let lack = |(name, dependency): (&&'static str, &Dependency)| match dependency {
            Dependency::Down { reason, is_needed: true } => Some((*name, reason.clone())),
            _ => None,
        };
        report.dependencies.iter().filter_map(lack).collect()
    }

    /// What the dependencies said when they were last asked; asks them where that is too long ago.
    async fn report(&self) -> Arc<Report> {
        if let Some(report) = self.0.held() {
            return report;
        }
        let inner = self.0.clone();
        let runtime = self.0.runtime.get().cloned().unwrap_or_else(Handle::current);
        // In a task of its own: a caller that goes away does not make the next one begin anew.
        let asked = runtime.spawn(async move { inner.ask().await }).await;
        asked.unwrap_or_else(|_| Arc::new(Report::failed()))
    }

    /// Mounts `/health/live` and `/health/ready`.
    pub(crate) fn mount(self, config: &mut ServiceConfig) {
        let ready = move || {
            let health = self.clone();
            async move {
                let report = health.report().await;
                answer(&report)
            }
        };
        config
            .service(web::resource("/health/live").guard(guard::Get()).to(live))
            .service(web::resource("/health/ready").guard(guard::Get()).to(ready));
    }
}

impl Inner {
    /// What there is to know of.
    fn notes(&self) -> BTreeMap<&'static str, String> {
        let notes = self.notes.read().unwrap_or_else(PoisonError::into_inner);
        notes.iter().filter_map(|(name, note)| Some((*name, note()?))).collect()
    }

    /// The last answer, while it holds.
    fn held(&self) -> Option<Arc<Report>> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        let Answer { asked, report } = last.as_ref()?;
        let holds = if report.is_ready() { READY } else { NOT_READY };
        (asked.elapsed() < holds).then(|| report.clone())
    }

    /// Asks all dependencies at once, unless somebody did while this one waited for its turn.
    async fn ask(&self) -> Arc<Report> {
        let _asking = self.asking.lock().await;
        if let Some(report) = self.held() {
            return report;
        }
        let asked = Instant::now();
        LOOKS.iter().for_each(IntCounter::inc);
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let all = checks.into_iter().map(async |named| (named.name, Dependency::ask(named).await));
        let report = Arc::new(Report { notes: self.notes(), ..Report::of(join_all(all).await) });
        let answer = Answer { asked, report: report.clone() };
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        report
    }
}

impl Report {
    fn of(all: impl IntoIterator<Item = (&'static str, Dependency)>) -> Self {
        let mut dependencies = BTreeMap::new();
        for (name, found) in all {
            let worst = match dependencies.remove(name) {
                Some(other) => found.or_worse(other),
                None => found,
            };
            dependencies.insert(name, worst);
        }
        let is_ready = dependencies.values().all(Dependency::can_do);
        Self { status: if is_ready { "ready" } else { "not ready" }, dependencies, notes: BTreeMap::new() }
    }

    /// A check panicked.
    fn failed() -> Self {
        let reason = "the check failed: the log of this process says why".to_owned();
        Self::of([("health", Dependency::Down { reason, is_needed: true })])
    }

    fn is_ready(&self) -> bool {
        self.dependencies.values().all(Dependency::can_do)
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

    /// The worse of two that have one name: parts of one process look at a dependency each in its own way.
    fn or_worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Up, other) => other,
            (found, Self::Up) => found,
            (Self::Down { reason, is_needed }, Self::Down { reason: other, is_needed: is_other_needed }) => {
                let reason = if reason == other { reason } else { format!("{other}; {reason}") };
                Self::Down { reason, is_needed: is_needed || is_other_needed }
            }
        }
    }
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().insert_header(NOT_CACHED).json(serde_json::json!({"status": "ok"}))
}

fn answer(report: &Report) -> HttpResponse {
    let mut response =
        if report.is_ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header(NOT_CACHED).json(report)
}

const NOT_CACHED: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, http::StatusCode, test};
    use serde_json::{Value, json};
    use std::{
        future,
        sync::atomic::{AtomicUsize, Ordering},
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

    /// Each state with a process of its own, since an answer holds for a while.
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
        // Polled once, so that the look has begun, and dropped.
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
}
