//! The HTTP server: limits, request ids, the canonical log line, metrics, graceful shutdown.
// STUB: helper S1.

use crate::health::Health;
use actix_web::web::ServiceConfig;
use std::net::{SocketAddr, TcpListener};

/// Binds the listener, with a message that says what to do when the port is taken.
///
/// # Errors
/// The port can't be had.
pub fn bind(_addr: SocketAddr) -> anyhow::Result<TcpListener> {
    unimplemented!()
}

/// Serves until `stop` resolves, then lets requests finish (bounded) and returns. Mounts `/health/live`, `/health/ready`, `/metrics`, what
/// `configure` mounts, and the 404 body for everything else; every answer has `X-Request-Id`, every request a log line and its metrics.
///
/// # Errors
/// The server can't be started.
pub async fn serve(
    _listener: TcpListener,
    _health: Health,
    _configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    _stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    unimplemented!()
}

/// Resolves at the first SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    unimplemented!()
}

/// Mounts, for each path, the 405 with its `Allow` for methods that no operation took. Mount it after the operations.
pub fn method_not_allowed(_config: &mut ServiceConfig, _paths: &'static [(&'static str, &'static str)]) {
    unimplemented!()
}
