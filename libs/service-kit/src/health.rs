//! Health of this process: whether its dependencies work.
//!
//! Anyone may ask, as often as they like. So the cost does not depend on the number of callers: the
//! dependencies are checked at most once a second, one round at a time, and every caller gets the
//! result of the last round.

mod postgres;
mod report;
#[cfg(test)]
mod tests;

pub use postgres::Probe;

use actix_web::{
    HttpResponse, guard,
    http::header,
    web::{self, ServiceConfig},
};
use futures_util::future::{BoxFuture, join_all};
use prometheus::{IntCounter, register_int_counter};
use report::{Dependency, Report};
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// How long one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a "ready" result is reused.
const READY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a "not ready" result is reused: shorter, so that a start is noticed soon.
const NOT_READY_INTERVAL: Duration = Duration::from_millis(250);

/// Registration fails only if the name is taken. Then nothing is counted, and nothing else breaks.
static ROUNDS: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    let help = "Number of times the dependencies were checked for the health of this process";
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
    /// Where checks run. Connections must not belong to a worker that may be busy with requests.
    runtime: OnceLock<Handle>,
    last: RwLock<Option<Answer>>,
    /// Held while the dependencies are being checked.
    asking: tokio::sync::Mutex<()>,
}

/// The last result, and when it was obtained.
struct Answer {
    asked: Instant,
    report: Arc<Report>,
}

/// A check and the name of its dependency.
#[derive(Clone)]
struct Named {
    name: &'static str,
    check: Check,
    /// Whether the process can't work without it.
    is_needed: bool,
}

impl Named {
    async fn run(self) -> Dependency {
        let Self { check, is_needed, .. } = self;
        match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
            Ok(Ok(())) => Dependency::Up,
            Ok(Err(reason)) => Dependency::Down { reason, is_needed },
            Err(_) => Dependency::Down { reason: "no answer within a second".to_owned(), is_needed },
        }
    }
}

impl Health {
    /// Adds a named dependency. `check` describes what is wrong; it runs on demand, is limited to 1
    /// s, and must not put secrets in the text. If several checks share a name, the worst result
    /// counts.
    pub fn add(
        &self,
        name: &'static str,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) {
        self.push(Named { name, check: Arc::new(check), is_needed: true });
    }

    /// Adds a dependency that only makes the process slower when it is down. It is reported like
    /// any other, but the process is ready without it.
    pub fn add_optional(
        &self,
        name: &'static str,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) {
        self.push(Named { name, check: Arc::new(check), is_needed: false });
    }

    /// Adds a remark for operators, shown whenever `note` returns one. It does not affect
    /// readiness. `note` runs for every report, so it must be cheap. No secrets, and no personal
    /// data.
    pub fn note(&self, name: &'static str, note: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.0.notes.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(note));
    }

    fn push(&self, named: Named) {
        LazyLock::force(&ROUNDS);
        if let Ok(runtime) = Handle::try_current() {
            self.0.runtime.get_or_init(|| runtime);
        }
        self.0.checks.write().unwrap_or_else(PoisonError::into_inner).push(named);
    }

    /// The required dependencies that are down, with the reasons. Empty if the process is ready.
    pub async fn failing(&self) -> BTreeMap<&'static str, String> {
        let report = self.report().await;
        let lack = |(name, dependency): (&&'static str, &Dependency)| match dependency {
            Dependency::Down { reason, is_needed: true } => Some((*name, reason.clone())),
            _ => None,
        };
        report.dependencies.iter().filter_map(lack).collect()
    }

    /// The last result, refreshed if it is too old.
    async fn report(&self) -> Arc<Report> {
        if let Some(report) = self.0.held() {
            return report;
        }
        let inner = self.0.clone();
        let runtime = self.0.runtime.get().cloned().unwrap_or_else(Handle::current);
        // Runs in its own task, so that a caller that goes away does not cancel the round for the
        // next one.
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
    /// The current remarks.
    fn notes(&self) -> BTreeMap<&'static str, String> {
        let notes = self.notes.read().unwrap_or_else(PoisonError::into_inner);
        notes.iter().filter_map(|(name, note)| Some((*name, note()?))).collect()
    }

    /// The last result, if it is recent enough.
    fn held(&self) -> Option<Arc<Report>> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        let Answer { asked, report } = last.as_ref()?;
        let holds = if report.is_ready() { READY_INTERVAL } else { NOT_READY_INTERVAL };
        (asked.elapsed() < holds).then(|| report.clone())
    }

    /// Checks all dependencies concurrently, unless another task did so while this one waited for
    /// the lock.
    async fn ask(&self) -> Arc<Report> {
        let _asking = self.asking.lock().await;
        if let Some(report) = self.held() {
            return report;
        }
        let asked = Instant::now();
        ROUNDS.iter().for_each(IntCounter::inc);
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let all = checks.into_iter().map(async |named| (named.name, named.run().await));
        let report = Arc::new(Report { notes: self.notes(), ..Report::of(join_all(all).await) });
        let answer = Answer { asked, report: report.clone() };
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        report
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
