//! A TCP proxy on loopback before one server, so that one client alone loses it.

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

/// How long its port may be another's.
const BOUND: Duration = Duration::from_secs(60);

/// What it does with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Passes it on.
    Open,
    /// Passes each chunk on after a time.
    Slow(Duration),
    /// Passes nothing on and answers nothing; connections stay open, and the kernel alone accepts new ones.
    Frozen,
    /// Freezes the connections that there are and passes new ones on, until the next change.
    OldFrozen,
    /// Listens no more and has cut all connections.
    Refused,
}

/// The proxy; dropped, it is gone with its connections.
pub struct Proxy {
    port: u16,
    server: SocketAddr,
    way: watch::Sender<Way>,
    task: AbortHandle,
}

impl Proxy {
    /// Stands before the server that a URL names.
    ///
    /// # Panics
    /// The URL names no address.
    pub async fn before(url: &str) -> Self {
        let server = authority(url).parse().expect("the URL names an address");
        let (way, watched) = watch::channel(Way::Open);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let task = tokio::spawn(serve(listener, port, server, watched)).abort_handle();
        Self { port, server, way, task }
    }

    /// The same URL by way of the proxy.
    pub fn url(&self, url: &str) -> String {
        url.replace(&self.server.to_string(), &format!("127.0.0.1:{}", self.port))
    }

    /// From now on it does this.
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

/// Listens again. Somebody's own end of a connection may have the port for a moment.
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

/// One connection, until an end of it is closed or it is cut.
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

/// What lets the chunks of a connection pass.
#[derive(Clone)]
struct Gate {
    way: watch::Receiver<Way>,
    /// Made while the old ones were frozen.
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
