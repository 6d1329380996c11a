//! Sends requests to the instances in turn, and records them.

use super::Targets;
use crate::chaos::history::{Identity, Kind, Operation, Position, Reply};
use crate::{Answer, PREFIX};
use futures_util::future::join_all;
use reqwest::{Client as Http, Method};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// The timeout of a request, longer than any answer of a healthy service takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// The metric with a process's start time.
const STARTED: &str = "process_start_time_seconds ";

/// A request to send.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) kind: Kind,
    /// The path after that of the users.
    pub(super) rest: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) user: Option<String>,
    pub(super) n: Option<u64>,
    /// The user before the first one of a list's page.
    pub(super) after: Option<String>,
}

impl Ask {
    pub(super) fn new(kind: Kind, rest: impl Into<String>) -> Self {
        let rest = rest.into();
        Self { kind, rest, headers: Vec::new(), body: None, user: None, n: None, after: None }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
    }

    fn method(&self) -> Method {
        match self.kind {
            Kind::Create | Kind::Search => Method::POST,
            Kind::Update => Method::PUT,
            Kind::Delete => Method::DELETE,
            Kind::Get | Kind::List | Kind::Credentials => Method::GET,
        }
    }
}

/// What the client needs from an answer, besides what is recorded.
pub(super) struct Heard {
    pub(super) operation: Operation,
    /// The position as the answer has it.
    pub(super) position: Option<String>,
    pub(super) next_cursor: Option<String>,
    /// Nobody listens there.
    pub(super) is_refused: bool,
}

/// Sends requests.
pub(super) struct Client {
    http: Http,
    command: Vec<String>,
    query: Vec<String>,
    token: String,
    /// The prefix of this run's request ids.
    run: String,
    sent: AtomicUsize,
}

impl Client {
    pub(super) fn new(targets: &Targets) -> Self {
        let http = Http::builder().timeout(PATIENCE).no_proxy().build().expect("an HTTP client");
        Self {
            http,
            command: targets.command.clone(),
            query: targets.query.clone(),
            token: targets.token.clone(),
            run: Uuid::new_v4().simple().to_string()[..8].to_owned(),
            sent: AtomicUsize::new(0),
        }
    }

    /// Sends it to the next instance.
    pub(super) async fn send(&self, ask: Ask) -> Heard {
        let number = self.sent.fetch_add(1, Ordering::SeqCst);
        let instances = if ask.kind.is_write() { &self.command } else { &self.query };
        let instance = instances[number % instances.len()].clone();
        let request = format!("{}-{number}", self.run);
        let mut call = self.http.request(ask.method(), format!("{instance}{PREFIX}{}", ask.rest));
        call = call.bearer_auth(&self.token).header("X-Request-Id", &request);
        for (name, value) in &ask.headers {
            call = call.header(*name, value);
        }
        if let Some(body) = &ask.body {
            call = call.json(body);
        }
        let sent = Instant::now();
        let answer = answer(call).await;
        let operation = Operation {
            request,
            instance,
            kind: ask.kind,
            if_match: ask.find("If-Match").and_then(tag),
            key: ask.find("Idempotency-Key").map(str::to_owned),
            read_after: ask.find("Read-After").and_then(position),
            user: ask.user,
            n: ask.n,
            after: ask.after,
            sent,
            answered: Instant::now(),
            reply: None,
        };
        heard(operation, answer)
    }

    /// The processes at all addresses that answer.
    pub(super) async fn identities(&self, targets: &Targets) -> Vec<Option<Identity>> {
        let all = targets.command.iter().chain(&targets.query);
        join_all(all.map(|url| self.identity(url))).await
    }

    async fn identity(&self, url: &str) -> Option<Identity> {
        let answer = answer(self.http.get(format!("{url}/metrics"))).await.ok()?;
        let started = answer.text().lines().find_map(|line| line.strip_prefix(STARTED)).map(str::to_owned);
        started.map(|started| (url.to_owned(), started))
    }
}

async fn answer(call: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = call.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, body: response.bytes().await? })
}

fn heard(mut operation: Operation, answer: reqwest::Result<Answer>) -> Heard {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            return Heard { operation, position: None, next_cursor: None, is_refused: error.is_connect() };
        }
    };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if operation.kind == Kind::Create && operation.user.is_none() {
        operation.user = created(&answer, &body);
    }
    let next_cursor = body["nextCursor"].as_str().map(str::to_owned);
    operation.reply = Some(Reply {
        status: answer.status,
        version: answer.find("etag").and_then(tag),
        position: answer.find("log-position").and_then(position),
        shown: shown(&body),
        is_last: next_cursor.is_none(),
        message: (answer.status >= 400).then(|| body["message"].as_str().unwrap_or_default().to_owned()),
        has_retry_after: answer.find("retry-after").is_some(),
    });
    Heard {
        position: answer.find("log-position").map(str::to_owned),
        operation,
        next_cursor,
        is_refused: false,
    }
}

/// The id of a created user, in the body or in `Location`.
fn created(answer: &Answer, body: &Value) -> Option<String> {
    let located = || answer.find("location")?.rsplit_once('/').map(|(_, id)| id);
    body["id"].as_str().or_else(located).map(str::to_owned)
}

/// The users of a page, or the only user.
fn shown(body: &Value) -> Vec<(String, u64)> {
    let users = body["data"].as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    let user = |user: &Value| Some((user["id"].as_str()?.to_owned(), user["claims"]["n"].as_u64()?));
    users.iter().filter_map(user).collect()
}

/// The version in a strong tag.
fn tag(text: &str) -> Option<u64> {
    text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// Partition and offset of a position. The rest is opaque.
fn position(token: &str) -> Option<Position> {
    let mut parts = token.split(':');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
