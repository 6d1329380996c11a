//! One worker's connection to Redis, and the name of the server at its other end.
//!
//! The connection never reconnects by itself: a lease is trusted because it names the very server that this connection leads to, so a
//! new connection has to learn that name anew.

use arc_swap::ArcSwapOption;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value, aio::MultiplexedConnection};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::AbortHandle};

/// How long an answer may take. After that Postgres is the faster one.
const ANSWER: Duration = Duration::from_millis(100);
/// How long a new connection and its first answer may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a server is left alone that was just lost or not found.
const PAUSE: Duration = Duration::from_millis(200);

/// A connection that is kept up. Where it fails, it is gone for every reader at once until the server answers again, so that a
/// frozen Redis costs nobody but the first readers any time.
pub(crate) struct Link {
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    up: ArcSwapOption<Up>,
    lost: Notify,
}

/// A connection that works.
struct Up {
    connection: MultiplexedConnection,
    /// The run of the server that it leads to.
    run: String,
}

/// What a server said to a question after a body and a lease, and which server it was.
pub(super) struct Reply {
    body: Value,
    lease: Value,
    up: Arc<Up>,
}

impl Reply {
    fn new(value: Value, up: Arc<Up>) -> Option<Self> {
        let Value::Array(both) = value else { return None };
        let [body, lease] = both.try_into().ok()?;
        Some(Self { body, lease, up })
    }

    pub(super) fn run(&self) -> &str {
        &self.up.run
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

impl Link {
    /// Starts to connect.
    pub(crate) fn start(client: Client) -> Self {
        let state = Arc::new(State::default());
        let task = tokio::spawn(keep(state.clone(), client)).abort_handle();
        Self { state, task }
    }

    /// Asks the server for a body and a lease. `None`: there is no connection, or it has just failed.
    pub(super) async fn ask(&self, question: &redis::Cmd) -> Option<Reply> {
        let up = self.state.up.load_full()?;
        let answer = up.connection.clone().send_packed_command(question).await.ok();
        let reply = answer.and_then(|value| Reply::new(value, up.clone()));
        if reply.is_none() {
            self.state.lose(&up);
        }
        reply
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    /// Takes a failed connection away, unless a newer one has its place by now.
    fn lose(&self, failed: &Arc<Up>) {
        self.up.compare_and_swap(failed, None);
        self.lost.notify_one();
    }

    async fn lost(&self) {
        while self.up.load().is_some() {
            self.lost.notified().await;
        }
    }
}

async fn keep(state: Arc<State>, client: Client) {
    let mut was_up = true;
    loop {
        match connect(&client).await {
            Ok(up) => {
                tracing::info!("reads are answered from Redis");
                state.up.store(Some(Arc::new(up)));
                state.lost().await;
                was_up = true;
            }
            Err(error) if was_up => {
                tracing::warn!(kind = ?error.kind(), "Redis is not there; reads are answered from Postgres");
                was_up = false;
            }
            Err(_) => {}
        }
        // Not in place of a condition: how long to leave a server alone.
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(client: &Client) -> RedisResult<Up> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let run = info.get("run_id").ok_or((redis::ErrorKind::UnexpectedReturnType, "no run_id in INFO"))?;
    Ok(Up { connection, run })
}

/// Whether the server answers, on a connection of its own.
pub(crate) async fn check(client: &Client) -> Result<(), String> {
    connect(client).await.map(drop).map_err(|error| format!("Redis: {}", error.category()))
}
