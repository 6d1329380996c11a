//! Requests on some connections: in a closed loop, or at a steady rate.

use crate::{client::Client, cpu::Cpu, subject::Subject, users};
use futures_util::future::try_join_all;
use std::time::{Duration, Instant};
use tokio::time::{Interval, interval_at};

/// What one request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// GET by id.
    Get,
    /// A page of 100 at one of the subject's two places.
    Page(usize),
    /// PUT of new claims.
    Put,
    /// POST of a new user.
    Post,
    /// DELETE of a user that was just created; only the DELETE is measured.
    Delete,
}

/// What one measurement gave.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Responses per second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// Processor time per response and program, in microseconds.
    pub(crate) cpu: Cpu,
}

impl Figures {
    /// `took` are milliseconds.
    pub(crate) fn new(mut took: Vec<f64>, elapsed: Duration, cpu: Cpu) -> Self {
        let rate = took.len() as f64 / elapsed.as_secs_f64();
        let cpu = cpu.each(took.len());
        took.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (took.len().saturating_sub(1) as f64 * share) as usize;
            took.get(place).copied().unwrap_or_default()
        };
        Self { rate, p50: at(0.5), p99: at(0.99), cpu }
    }
}

/// Measures for so long, each connection as fast as it can.
pub(crate) async fn measure(
    request: Request,
    connections: usize,
    subject: &Subject,
    length: Duration,
) -> anyhow::Result<Figures> {
    measure_at(None, request, connections, subject, length).await
}

/// Measures for so long, at so many requests per second over all connections, if a rate is given.
pub(crate) async fn measure_at(
    rate: Option<u32>,
    request: Request,
    connections: usize,
    subject: &Subject,
    length: Duration,
) -> anyhow::Result<Figures> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(&subject.authority, &subject.token).await?);
    }
    let (began, cpu) = (Instant::now(), Cpu::of_trees(&subject.pids));
    let loops = clients.into_iter().enumerate().map(|(n, client)| {
        let own = subject.users.iter().skip(n).step_by(connections).collect();
        let due = rate.map(|rate| due(began, rate, n, connections));
        repeat(request, subject, client, own, due, move |_| Instant::now() < began + length)
    });
    let took = try_join_all(loops).await?.concat();
    Ok(Figures::new(took, began.elapsed(), Cpu::of_trees(&subject.pids).since(&cpu)))
}

/// Sends the request so many times for each user.
pub(crate) async fn repeat_each(
    request: Request,
    connections: usize,
    subject: &Subject,
    times: usize,
) -> anyhow::Result<()> {
    let loops = (0..connections).map(async |n| {
        let client = Client::connect(&subject.authority, &subject.token).await?;
        let own: Vec<&String> = subject.users.iter().skip(n).step_by(connections).collect();
        let turns = own.len() * times;
        repeat(request, subject, client, own, None, |turn| turn < turns).await
    });
    try_join_all(loops).await.map(drop)
}

/// When the requests of the connection number `n` are due.
fn due(began: Instant, rate: u32, n: usize, connections: usize) -> Interval {
    let apart = Duration::from_secs(1) / rate;
    let times = |n: usize| u32::try_from(n).unwrap_or(1);
    interval_at((began + apart * times(n)).into(), apart * times(connections))
}

/// One connection's requests while `goes_on`, each on the next of its own users; how long each
/// took. One that has to wait for the response before it took so much longer.
async fn repeat(
    request: Request,
    subject: &Subject,
    mut client: Client,
    own: Vec<&String>,
    mut due: Option<Interval>,
    goes_on: impl Fn(usize) -> bool,
) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::new();
    for (turn, id) in own.iter().cycle().enumerate() {
        if !goes_on(turn) {
            break;
        }
        let (method, path, body, expected) = match request {
            Request::Get => ("GET", format!("/core/v1/users/{id}"), String::new(), 200),
            Request::Page(place) => {
                ("GET", format!("/core/v1/users?limit=100{}", subject.cursors[place]), String::new(), 200)
            }
            Request::Put => ("PUT", format!("/core/v1/users/{id}"), users::request(turn as u64), 200),
            Request::Post => ("POST", "/core/v1/users".to_owned(), users::request(turn as u64), 201),
            Request::Delete => ("DELETE", created(&mut client, turn).await?, String::new(), 204),
        };
        let began = match &mut due {
            Some(due) => due.tick().await.into_std(),
            None => Instant::now(),
        };
        let (status, _) = client.call(method, &path, &body).await?;
        anyhow::ensure!(status == expected, "{}: {method} was answered {status}", subject.name);
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(took)
}

/// The path of a new user.
async fn created(client: &mut Client, turn: usize) -> anyhow::Result<String> {
    let (status, body) = client.call("POST", "/core/v1/users", &users::request(turn as u64)).await?;
    anyhow::ensure!(status == 201, "POST was answered {status}");
    let user: serde_json::Value = serde_json::from_slice(body)?;
    Ok(format!("/core/v1/users/{}", user["id"].as_str().unwrap_or_default()))
}
