//! A worker's connection to Redis, and the run id of the server at its other end.
//!
//! The connection never reconnects by itself: a lease is trusted because it names the very server
//! that this connection leads to, so a new connection has to learn the run id anew.

use arc_swap::ArcSwapOption;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value, aio::MultiplexedConnection};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::AbortHandle};

/// How long an answer may take. After that, PostgreSQL is faster.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a new connection and its first answer may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause before the next attempt to connect.
const CONNECT_INTERVAL: Duration = Duration::from_millis(200);

/// A connection that is restored in the background. When it fails, all readers lose it at once
/// until the server answers again, so only the first readers wait for a frozen Redis.
pub(crate) struct RedisConnection {
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    connected: ArcSwapOption<Connected>,
    lost: Notify,
}

/// A connection that works.
struct Connected {
    connection: MultiplexedConnection,
    /// The run id of its server.
    run_id: String,
}

/// A server's answer to a request for a body and a lease, and which server it was.
pub(super) struct BodyAndLease {
    body: Value,
    lease: Value,
    server: Arc<Connected>,
}

impl BodyAndLease {
    fn new(value: Value, server: Arc<Connected>) -> Option<Self> {
        let Value::Array(both) = value else { return None };
        let [body, lease] = both.try_into().ok()?;
        Some(Self { body, lease, server })
    }

    pub(super) fn run_id(&self) -> &str {
        &self.server.run_id
    }

    pub(super) fn lease(&self) -> Option<&[u8]> {
        match &self.lease {
            Value::BulkString(lease) => Some(lease),
            _ => None,
        }
    }

    pub(super) fn into_body(self) -> Option<Vec<u8>> {
        match self.body {
            Value::BulkString(body) => Some(body),
            _ => None,
        }
    }
}

impl RedisConnection {
    /// Starts to connect.
    pub(crate) fn start(client: Client) -> Self {
        let state = Arc::new(State::default());
        let task = tokio::spawn(keep_connected(state.clone(), client)).abort_handle();
        Self { state, task }
    }

    /// Sends a command for a body and a lease. `None`: there is no connection, or it has just
    /// failed.
    pub(super) async fn body_and_lease(&self, command: &redis::Cmd) -> Option<BodyAndLease> {
        let server = self.state.connected.load_full()?;
        let answer = server.connection.clone().send_packed_command(command).await.ok();
        let reply = answer.and_then(|value| BodyAndLease::new(value, server.clone()));
        if reply.is_none() {
            self.state.drop_connection(&server);
        }
        reply
    }
}

impl Drop for RedisConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    /// Drops a failed connection, unless a newer one has replaced it.
    fn drop_connection(&self, failed: &Arc<Connected>) {
        self.connected.compare_and_swap(failed, None);
        self.lost.notify_one();
    }

    async fn lost(&self) {
        while self.connected.load().is_some() {
            self.lost.notified().await;
        }
    }
}

async fn keep_connected(state: Arc<State>, client: Client) {
    let mut was_connected = true;
    loop {
        match connect(&client).await {
            Ok(connected) => {
                tracing::info!("Redis is connected; reads use it");
                state.connected.store(Some(Arc::new(connected)));
                state.lost().await;
                was_connected = true;
            }
            Err(error) if was_connected => {
                tracing::warn!(kind = ?error.kind(), "Redis is unreachable; reads use PostgreSQL");
                was_connected = false;
            }
            Err(_) => {}
        }
        // A pause for a server that just failed, not a substitute for a condition.
        tokio::time::sleep(CONNECT_INTERVAL).await;
    }
}

async fn connect(client: &Client) -> RedisResult<Connected> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let run_id = info.get("run_id").ok_or((redis::ErrorKind::UnexpectedReturnType, "no run_id in INFO"))?;
    Ok(Connected { connection, run_id })
}

/// Whether the server answers, on a new connection.
pub(crate) async fn check(client: &Client) -> Result<(), String> {
    connect(client).await.map(drop).map_err(|error| format!("Redis: {}", error.category()))
}
