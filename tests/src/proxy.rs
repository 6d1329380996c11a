//! A TCP proxy before a server, so that only some clients lose the server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

/// How long the port may be in use by a connection.
const BOUND: Duration = Duration::from_secs(60);

/// How the proxy treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Forwards everything.
    Open,
    /// Forwards each chunk after a delay.
    Slow(Duration),
    /// Forwards nothing. Connections stay open, and only the kernel accepts new ones.
    Frozen,
    /// Freezes existing connections and forwards new ones, until the next change.
    OldFrozen,
    /// Does not listen, and has closed all connections.
    Refused,
}

/// The proxy. Dropping it closes all connections.
pub struct Proxy {
    port: u16,
    server: SocketAddr,
    way: watch::Sender<Way>,
    task: AbortHandle,
}

impl Proxy {
    /// Starts a proxy before the server of a URL.
    ///
    /// # Panics
    /// The URL has no address.
    pub async fn before(url: &str) -> Self {
        let server = authority(url).parse().expect("the URL names an address");
        let (way, watched) = watch::channel(Way::Open);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let task = tokio::spawn(serve(listener, port, server, watched)).abort_handle();
        Self { port, server, way, task }
    }

    /// The URL through the proxy.
    pub fn url(&self, url: &str) -> String {
        url.replace(&self.server.to_string(), &format!("127.0.0.1:{}", self.port))
    }

    /// Changes the mode.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.way.send_replace(Way::Refused);
        self.task.abort();
    }
}

/// `host:port` of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    rest.rsplit_once('@').map_or(rest, |(_, address)| address)
}

async fn serve(listener: TcpListener, port: u16, server: SocketAddr, mut way: watch::Receiver<Way>) {
    let mut first = Some(listener);
    loop {
        if way.wait_for(|way| *way != Way::Refused).await.is_err() {
            return;
        }
        let listener = match first.take() {
            Some(listener) => listener,
            None => bound(port).await,
        };
        let mut refused = way.clone();
        select! {
            () = accept(&listener, server, &mut way) => {}
            _ = refused.wait_for(|way| *way == Way::Refused) => {}
        }
    }
}

/// Listens again. An outgoing connection may have the port for a moment.
async fn bound(port: u16) -> TcpListener {
    let give_up = Instant::now() + BOUND;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < give_up, "the proxy's port is not free: {error}"),
        }
        sleep(Duration::from_millis(25)).await;
    }
}

async fn accept(listener: &TcpListener, server: SocketAddr, way: &mut watch::Receiver<Way>) {
    loop {
        if way.wait_for(|way| *way != Way::Frozen).await.is_err() {
            return;
        }
        let Ok((client, _)) = listener.accept().await else { continue };
        tokio::spawn(connection(client, server, Gate::new(way.clone())));
    }
}

/// Forwards one connection until it is closed.
async fn connection(client: TcpStream, server: SocketAddr, gate: Gate) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut refused = gate.way.clone();
    select! {
        () = pass(from_client, to_server, gate.clone()) => {}
        () = pass(from_server, to_client, gate) => {}
        _ = refused.wait_for(|way| *way == Way::Refused) => {}
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut gate: Gate) {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut chunk).await else { return };
        gate.pass().await;
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}

/// Decides when the chunks of a connection pass.
#[derive(Clone)]
struct Gate {
    way: watch::Receiver<Way>,
    /// Whether it was opened while older ones were frozen.
    is_new: bool,
}

impl Gate {
    fn new(way: watch::Receiver<Way>) -> Self {
        let is_new = *way.borrow() == Way::OldFrozen;
        Self { way, is_new }
    }

    async fn pass(&mut self) {
        let is_new = self.is_new;
        let is_shut = |way: Way| way == Way::Frozen || (way == Way::OldFrozen && !is_new);
        let passes = self.way.wait_for(|way| !is_shut(*way)).await.map_or(Way::Refused, |way| *way);
        if let Way::Slow(delay) = passes {
            sleep(delay).await;
        }
    }
}
