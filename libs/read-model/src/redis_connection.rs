//! A connection to one Redis server. If it is lost, a new one is opened in the background.

use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use std::time::Duration;
use tokio::sync::watch;

/// How long an answer may take. A commit may wait for it.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The pause before the next attempt to connect.
const BACK_OFF: Duration = Duration::from_millis(250);

/// A connected server.
#[derive(Clone)]
pub struct Server {
    /// The connection.
    pub connection: MultiplexedConnection,
    /// The server's run id.
    pub run: String,
}

/// A connection to one Redis server. If it is lost, a new one is opened in the background.
#[derive(Clone)]
pub struct RedisConnection {
    client: Client,
    server: watch::Receiver<Option<Server>>,
}

impl RedisConnection {
    /// Parses the URL.
    ///
    /// # Errors
    /// It is invalid.
    pub fn client(url: &str) -> anyhow::Result<Client> {
        // The parser's own words could repeat the URL, which may hold a password.
        Client::open(url).map_err(|_| anyhow::anyhow!("REDIS_URL: must be a redis:// or rediss:// URL"))
    }

    /// Connects in the background.
    pub fn start(client: Client) -> Self {
        let server = connect(client.clone());
        Self { client, server }
    }

    /// The server, if connected.
    pub fn server(&self) -> Option<Server> {
        self.server.borrow().clone()
    }

    /// Drops the connection and opens a new one in the background.
    pub fn reconnect(&mut self) {
        self.server = connect(self.client.clone());
    }
}

fn connect(client: Client) -> watch::Receiver<Option<Server>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        while !sender.is_closed() {
            match server(&client).await {
                Ok(server) => {
                    tracing::info!("redis is connected");
                    let _ = sender.send(Some(server));
                    return;
                }
                Err(error) => tracing::debug!(reason = category(&error), "redis is not reached"),
            }
            // A server that is down is not asked all the time.
            tokio::time::sleep(BACK_OFF).await;
        }
    });
    receiver
}

async fn server(client: &Client) -> RedisResult<Server> {
    let mut connection = connection(client).await?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
    Ok(Server { connection, run: run.trim().to_owned() })
}

/// Opens a new connection.
pub(crate) async fn connection(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Describes an error without its own text, which may repeat a command's arguments.
pub(crate) fn category(error: &redis::RedisError) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connection_dropped() || error.is_io_error() || error.is_connection_refusal() {
        "the connection failed"
    } else {
        "the server refused"
    }
}
