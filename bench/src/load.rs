//! The rows of the benchmark: what is called, by how many clients, and for how long.

use crate::{client::Client, cpu::Cpu, stack::Stack};
use futures_util::future::try_join_all;
use std::time::{Duration, Instant};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// GET by id, 64 connections.
    Get,
    /// PUT until visible, one writer.
    Put,
    /// PUT until visible, 64 writers on different users.
    PutMany,
}

impl Row {
    pub(crate) const ALL: [Self; 3] = [Self::Get, Self::Put, Self::PutMany];

    /// The name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "R1 GET by id, 64 connections",
            Self::Put => "R4 PUT until visible, sequential",
            Self::PutMany => "R5 PUT until visible, 64 writers",
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Get | Self::PutMany => 64,
            Self::Put => 1,
        }
    }
}

/// The result of one measurement.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Answers per second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// CPU time of each program per answer, in microseconds.
    pub(crate) cpu: Cpu,
}

/// Runs a row for some time.
pub(crate) async fn measure(row: Row, stack: &Stack, length: Duration) -> anyhow::Result<Figures> {
    let mut clients = Vec::new();
    for _ in 0..row.connections() {
        clients.push(Client::connect(&stack.authority, &stack.token).await?);
    }
    let (began, cpu) = (Instant::now(), Cpu::of_tree(stack.pid()));
    let calls =
        clients.into_iter().enumerate().map(|(n, client)| call(row, stack, client, n, began + length));
    let mut took: Vec<f64> = try_join_all(calls).await?.concat();
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    let cpu = Cpu::of_tree(stack.pid()).since(&cpu).each(took.len());
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    Ok(Figures { rate, p50: at(0.5), p99: at(0.99), cpu })
}

/// The calls of one connection, each on the next of its own users. Returns the duration of each
/// call in milliseconds.
async fn call(
    row: Row,
    stack: &Stack,
    mut client: Client,
    n: usize,
    until: Instant,
) -> anyhow::Result<Vec<f64>> {
    let own: Vec<&String> = stack.users.iter().skip(n).step_by(row.connections()).collect();
    let mut took = Vec::new();
    for (turn, id) in own.iter().cycle().enumerate() {
        let began = Instant::now();
        if began >= until {
            break;
        }
        let path = format!("/core/v1/users/{id}");
        let (method, body) = match row {
            Row::Get => ("GET", String::new()),
            Row::Put | Row::PutMany => ("PUT", crate::stack::user(turn as u64, Some(n))),
        };
        let (status, _) = client.call(method, &path, &body).await?;
        anyhow::ensure!(status == 200, "{method} was answered {status}");
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(took)
}
