//! R3: searches of every shape beside a page of the list, among very many users.

mod shapes;

use crate::{Build, client::Client, load::Figures, stack::Stack, table, users};
use serde_json::{Map, Value, json};
use std::{
    io::{Write as _, stdout},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// What is measured: in the large tenant, in the small one, and in the large one beside updates.
const CONDITIONS: [&str; 3] = ["quiet", "tenant of 100", "beside 200 writes/s"];
/// A tenant with few users.
const SMALL: &str = "small";
const SMALL_USERS: u64 = 100;
/// Updates per second beside the searches.
const WRITES: u32 = 200;
const WRITERS: u32 = 8;
/// How long each shape is measured in a round.
const TURN: Duration = Duration::from_millis(700);

/// What is asked: the list, or a search.
struct Question {
    name: String,
    method: &'static str,
    path: String,
    body: String,
}

/// What was measured of one question, in one condition.
pub(crate) struct Line {
    condition: &'static str,
    name: String,
    figures: Figures,
}

/// Measures all shapes in one build: quiet, and beside updates.
pub(crate) fn measure(build: &Build, count: u32, rounds: usize) -> anyhow::Result<Vec<Line>> {
    let stack = Stack::launch(build, "search")?;
    let count = u64::from(count);
    stack.import(users::TENANT, (1..=count).map(|n| shapes::line(n, count)))?;
    stack.import(SMALL, (1..=SMALL_USERS).map(|n| shapes::line(n, SMALL_USERS)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lines = runtime.block_on(conditions(&stack, rounds))?;
    stack.stop()?;
    Ok(lines)
}

async fn conditions(stack: &Stack, rounds: usize) -> anyhow::Result<Vec<Line>> {
    let (large, small) = (stack.token(users::TENANT)?, stack.token(SMALL)?);
    let ids = first_ids(stack, &large).await?;
    let deep = cursor(stack, &large).await?;
    let all: Vec<Question> = questions(None).into_iter().chain(questions(Some(&deep))).collect();
    let mut lines = take_turns(stack, &large, &all, CONDITIONS[0], rounds).await?;
    lines.extend(take_turns(stack, &small, &questions(None), CONDITIONS[1], rounds).await?);
    let stop = AtomicBool::new(false);
    let writers = (0..WRITERS).map(|n| write(stack, &large, &ids, n, &stop));
    let searches = async {
        let lines = take_turns(stack, &large, &all, CONDITIONS[2], rounds).await;
        stop.store(true, Ordering::Relaxed);
        lines
    };
    let (written, beside) = tokio::join!(futures_util::future::try_join_all(writers), searches);
    written?;
    lines.extend(beside?);
    Ok(lines)
}

/// The list and every search, on the first page or behind a cursor.
fn questions(cursor: Option<&str>) -> Vec<Question> {
    let place = if cursor.is_some() { ", deep page" } else { "" };
    let path = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    let list = Question {
        name: format!("list{place}"),
        method: "GET",
        path: format!("/core/v1/users?limit=100{path}"),
        body: String::new(),
    };
    let searches = shapes::all().into_iter().map(|(name, mut body)| {
        if let Some(cursor) = cursor {
            body["cursor"] = json!(cursor);
        }
        let (name, path) = (format!("{name}{place}"), "/core/v1/users/search".to_owned());
        Question { name, method: "POST", path, body: body.to_string() }
    });
    std::iter::once(list).chain(searches).collect()
}

async fn take_turns(
    stack: &Stack,
    token: &str,
    questions: &[Question],
    condition: &'static str,
    rounds: usize,
) -> anyhow::Result<Vec<Line>> {
    let mut client = Client::connect(&stack.authority, token).await?;
    let mut took = vec![Vec::new(); questions.len()];
    // The first round only warms up.
    for round in 0..=rounds {
        for (question, took) in questions.iter().zip(&mut took) {
            let until = Instant::now() + TURN;
            while Instant::now() < until {
                let began = Instant::now();
                let (status, _) = client.call(question.method, &question.path, &question.body).await?;
                anyhow::ensure!(status == 200, "{} was answered {status}", question.name);
                if round > 0 {
                    took.push(began.elapsed().as_secs_f64() * 1_000.0);
                }
            }
        }
    }
    let line = |(question, took): (&Question, Vec<f64>)| {
        let figures =
            Figures::new(took, TURN * u32::try_from(rounds).unwrap_or(1), crate::cpu::Cpu::default());
        Line { condition, name: question.name.clone(), figures }
    };
    Ok(questions.iter().zip(took).map(line).collect())
}

/// One writer's share of the updates, at a steady rate.
async fn write(stack: &Stack, token: &str, ids: &[String], n: u32, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut client = Client::connect(&stack.authority, token).await?;
    let mut tick = tokio::time::interval(Duration::from_secs(1) * WRITERS / WRITES);
    let own = ids.iter().skip(usize::try_from(n)?).step_by(usize::try_from(WRITERS)?).cycle();
    for (turn, id) in own.enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tick.tick().await;
        let body =
            json!({ "claims": { "externalUserId": id, "level": turn % 1000, "active": true } }).to_string();
        let (status, _) = client.call("PUT", &format!("/core/v1/users/{id}"), &body).await?;
        anyhow::ensure!([200, 202].contains(&status), "PUT was answered {status}");
    }
    Ok(())
}

/// The ids of the first thousand users.
async fn first_ids(stack: &Stack, token: &str) -> anyhow::Result<Vec<String>> {
    let mut client = Client::connect(&stack.authority, token).await?;
    let (_, body) = client.call("GET", "/core/v1/users?limit=1000", "").await?;
    let page: Value = serde_json::from_slice(body)?;
    let users = page["data"].as_array().cloned().unwrap_or_default();
    Ok(users.iter().filter_map(|user| Some(user["id"].as_str()?.to_owned())).collect())
}

/// The cursor behind half of the users.
async fn cursor(stack: &Stack, token: &str) -> anyhow::Result<String> {
    let mut client = Client::connect(&stack.authority, token).await?;
    let (mut cursors, mut path) = (Vec::new(), "/core/v1/users?limit=1000".to_owned());
    loop {
        let (_, body) = client.call("GET", &path, "").await?;
        let page: Value = serde_json::from_slice(body)?;
        let Some(next) = page["nextCursor"].as_str() else { break };
        path = format!("/core/v1/users?limit=1000&cursor={next}");
        cursors.push(next.to_owned());
    }
    Ok(cursors.get(cursors.len() / 2).cloned().unwrap_or_default())
}

/// Each line with the ratios of its p50 and p99 to those of the list page in the same condition.
fn ratios<'l>(lines: &'l [Line]) -> Vec<(&'l Line, f64, f64)> {
    let list = |condition: &str| lines.iter().find(|line| line.condition == condition && line.name == "list");
    let ratio = |line: &'l Line| {
        let list = list(line.condition)?;
        Some((line, line.figures.p50 / list.figures.p50, line.figures.p99 / list.figures.p99))
    };
    lines.iter().filter_map(ratio).collect()
}

/// Prints the lines, and the worst ratio of each condition.
pub(crate) fn print(lines: &[Line]) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\nR3 search, one client   target: p99 <= 2 x list, every shape")?;
    let all = ratios(lines);
    for (line, p50, p99) in &all {
        let Line { condition, name, figures } = line;
        writeln!(
            out,
            "  {condition:<20} {name:<38} p50 {:>7.2} ms {p50:>6.2} x   p99 {:>7.2} ms {p99:>6.2} x",
            figures.p50, figures.p99
        )?;
    }
    for condition in CONDITIONS {
        let of = all.iter().filter(|(line, ..)| line.condition == condition);
        if let Some((line, _, p99)) = of.max_by(|a, b| a.2.total_cmp(&b.2)) {
            writeln!(out, "  worst, {condition}: {p99:.2} x ({})", line.name)?;
        }
    }
    Ok(())
}

/// Keeps the lines as JSON under today's date.
pub(crate) fn keep(lines: &[Line], build: &str, users: u32, dir: &Path) -> anyhow::Result<()> {
    let rounded = table::rounded;
    let rows: Vec<Value> = ratios(lines)
        .into_iter()
        .map(|(line, p50, p99)| {
            json!({ "condition": line.condition, "shape": line.name, "p50Milliseconds": rounded(line.figures.p50),
                "p99Milliseconds": rounded(line.figures.p99), "p50OfList": rounded(p50), "p99OfList": rounded(p99) })
        })
        .collect();
    let row = json!({ "users": users, "target": "p99 <= 2 x list", "shapes": rows });
    table::merge(Map::from_iter([(format!("R3 search, {build}"), row)]), dir)
}
