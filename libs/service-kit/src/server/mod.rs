//! The HTTP server: limits, request ids, the canonical log line, metrics, graceful shutdown.

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
use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to send its first request's head. Much longer than one takes, since the clock that it is counted by stood still
/// with the process: what connects right after a freeze (a debugger, a virtual machine that moved) would be answered 408 without being read.
const HEAD: Duration = Duration::from_secs(30);
/// How long requests that have begun may take once the server stops, in seconds.
const SHUTDOWN: u64 = 10;

/// What the server mounts itself.
const OWN: &[(&str, &str)] = &[("/health/live", "GET"), ("/health/ready", "GET"), ("/metrics", "GET")];

/// Binds the listener, with a message that says what to do when the port is taken.
///
/// # Errors
/// The port can't be had.
pub fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "ROLLCALL_ADDR: {addr} is taken by another program; stop that, or set ROLLCALL_ADDR to another address"
        ),
        _ => anyhow::anyhow!("ROLLCALL_ADDR: can't listen on {addr}: {error}"),
    })
}

/// Serves until `stop` resolves, then lets requests finish (bounded) and returns. Mounts `/health/live`, `/health/ready`, `/metrics`, what
/// `configure` mounts, and the 404 body for everything else; every answer has `X-Request-Id`, every request a log line and its metrics.
///
/// # Errors
/// The server can't be started.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    start(listener, health, configure, stop)?.await.context("the HTTP server failed")
}

/// Apart from `serve`, so that nothing of the builder, which stays on its thread, lives across the wait.
fn start(
    listener: TcpListener,
    health: Health,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Server> {
    let mount = move |config: &mut ServiceConfig| {
        configure(config);
        own(config, &health);
    };
    let server = HttpServer::new(move || App::new().wrap(from_fn(observe::observe)).configure(&mount))
        .workers(std::thread::available_parallelism().map_or(2, usize::from))
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD)
        .shutdown_timeout(SHUTDOWN)
        .shutdown_signal(stop);
    Ok(server.listen(listener).context("can't listen")?.run())
}

fn own(config: &mut ServiceConfig, health: &Health) {
    health.clone().mount(config);
    metrics::mount(config);
    method_not_allowed(config, OWN);
    config.default_service(web::to(fallback::not_found));
}

#[cfg(test)]
mod tests;
