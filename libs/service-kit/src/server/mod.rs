//! The HTTP server: limits, request ids, the canonical log line, metrics, graceful shutdown.

mod cors;
mod fallback;
mod observe;
mod signal;

pub use fallback::method_not_allowed;
pub use observe::log_tenant;
pub use signal::stop_signal;

use crate::{health::Health, metrics};
use actix_web::{
    App, HttpServer,
    dev::Server,
    middleware::from_fn,
    web::{self, ServiceConfig},
};
use anyhow::Context as _;
use cors::Cors;
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to send the head of its first request. The limit is generous because
/// the clock behind it stops with the process: after a freeze (a debugger, a migrated virtual
/// machine) a shorter one would answer 408 to a new connection before reading from it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open requests may take to finish once the server stops, in seconds.
const SHUTDOWN_TIMEOUT_SECS: u64 = 10;

/// The routes that every server has.
const COMMON_PATHS: &[(&str, &str)] =
    &[("/health/live", "GET"), ("/health/ready", "GET"), ("/metrics", "GET")];

/// Binds the listener.
///
/// # Errors
/// The port is taken or can't be used; the message says what to do.
pub fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "ROLLCALL_ADDR: {addr} is taken by another program; stop that, or set ROLLCALL_ADDR to another address"
        ),
        _ => anyhow::anyhow!("ROLLCALL_ADDR: can't listen on {addr}: {error}"),
    })
}

/// Mounts a service's routes, once for each worker.
type Mount = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// Serves until `stop` resolves, then lets open requests finish for up to 10 seconds.
///
/// Mounts `/health/live`, `/health/ready`, `/metrics`, the routes of `configure`, and a 404 problem
/// for every other path. Every response has an `X-Request-Id`; every request gets one log line and
/// is counted in the metrics. HEAD is answered wherever GET is. The pages of `cors_origins` may call
/// (`ROLLCALL_CORS_ORIGINS`).
///
/// # Errors
/// The server can't be started.
pub fn serve(
    listener: TcpListener,
    health: Health,
    cors_origins: &[String],
    configure: impl Fn(&mut ServiceConfig) + Send + Sync + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
) -> BoxFuture<'static, anyhow::Result<()>> {
    serve_boxed(listener, health, Cors::new(cors_origins), Arc::new(configure), stop.boxed())
}

/// Not generic, so that the HTTP stack is compiled once, here, and not again in every program.
fn serve_boxed(
    listener: TcpListener,
    health: Health,
    cors: Cors,
    configure: Mount,
    stop: BoxFuture<'static, ()>,
) -> BoxFuture<'static, anyhow::Result<()>> {
    async move { start(listener, health, cors, configure, stop)?.await.context("the HTTP server failed") }
        .boxed()
}

/// A function of its own: the builder is not `Send` and must not live across an await.
fn start(
    listener: TcpListener,
    health: Health,
    cors: Cors,
    configure: Mount,
    stop: BoxFuture<'static, ()>,
) -> anyhow::Result<Server> {
    let mount = move |config: &mut ServiceConfig| {
        configure(config);
        mount_common(config, &health);
    };
    let app = move || {
        let cors = cors.clone();
        let observe = from_fn(move |request, next| observe::observe(cors.clone(), request, next));
        App::new().wrap(observe).configure(&mount)
    };
    let server = HttpServer::new(app)
        .workers(std::thread::available_parallelism().map_or(2, usize::from))
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_SECS)
        .shutdown_signal(stop);
    Ok(server.listen(listener).context("can't listen")?.run())
}

/// Mounts what every server has: health, metrics, and 404 for all other paths.
fn mount_common(config: &mut ServiceConfig, health: &Health) {
    health.clone().mount(config);
    metrics::mount(config);
    method_not_allowed(config, COMMON_PATHS);
    config.default_service(web::to(fallback::not_found));
}

#[cfg(test)]
mod tests;
