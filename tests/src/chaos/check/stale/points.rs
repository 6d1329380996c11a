//! What each answer shows of each user: a version, or absence.

use crate::{
    Accepted,
    chaos::{
        check::{
            evidence::{Evidence, number},
            verdict::Findings,
        },
        history::{Kind, Operation, Position, Reply},
    },
};
use std::{collections::BTreeMap, time::Instant};

/// What an answer shows of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Version(u64),
    /// It does not exist.
    Nothing,
}

/// An accepted delete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deletion {
    pub(super) version: u64,
    pub(super) sent: Instant,
}

/// What one answer shows of one user.
pub(super) struct Point<'a> {
    pub(super) operation: &'a Operation,
    pub(super) seen: Seen,
    /// The version that its own `Read-After` requires.
    pub(super) asked_for: u64,
    /// The user's delete, if there is one.
    pub(super) deleted: Option<Deletion>,
}

/// All that is known about a user.
struct Life<'a> {
    facts: Vec<&'a Accepted>,
    deleted: Option<Deletion>,
    /// When a delete was answered with certainty.
    gone_since: Option<Instant>,
    /// Creation time and id, which determine the place in lists.
    place: (&'a str, &'a str),
}

impl Life<'_> {
    fn version_of(&self, n: u64) -> Option<u64> {
        self.facts.iter().find(|fact| number(fact) == Some(n)).map(|fact| fact.version)
    }

    /// The user's version at a position.
    fn at(&self, position: Option<Position>) -> u64 {
        let Some((partition, offset)) = position else { return 0 };
        let seen = self.facts.iter().filter(|fact| fact.at.0 == partition && fact.at.1 <= offset);
        seen.map(|fact| fact.version).max().unwrap_or(0)
    }
}

type Points<'a> = BTreeMap<&'a str, Vec<Point<'a>>>;

/// The points of all answers, by user. An answer that shows a version that was never accepted is
/// wrong.
pub(super) fn by_user<'a>(evidence: &'a Evidence, findings: &mut Findings) -> Points<'a> {
    let lives = lives(evidence);
    let mut points = Points::new();
    for operation in &evidence.history.operations {
        for (user, seen) in seen(operation, &lives, findings) {
            let Some((user, life)) = lives.get_key_value(user) else { continue };
            let (asked_for, deleted) = (life.at(operation.read_after), life.deleted);
            points.entry(user).or_default().push(Point { operation, seen, asked_for, deleted });
        }
    }
    points
}

fn lives(evidence: &Evidence) -> BTreeMap<&str, Life<'_>> {
    let sent: BTreeMap<&str, &Operation> =
        evidence.history.operations.iter().map(|operation| (operation.request.as_str(), operation)).collect();
    let mut lives = BTreeMap::new();
    for fact in evidence.facts() {
        let Some((_, user)) = fact.key.split_once('/') else { continue };
        let life = lives.entry(user).or_insert_with(|| Life {
            facts: Vec::new(),
            deleted: None,
            gone_since: None,
            place: (evidence.model.users.get(&fact.key).map_or("", |user| user.created_at.as_str()), user),
        });
        life.facts.push(fact);
        let operation = fact.request.as_deref().and_then(|request| sent.get(request));
        if let Some(operation) = operation.filter(|_| fact.personal.is_none()) {
            life.deleted = Some(Deletion { version: fact.version, sent: operation.sent });
            life.gone_since = operation.applied().map(|_| operation.answered);
        }
    }
    lives
}

/// The users that an answer is about, and what it shows.
fn seen<'a>(
    operation: &'a Operation,
    lives: &BTreeMap<&'a str, Life<'a>>,
    findings: &mut Findings,
) -> Vec<(&'a str, Seen)> {
    let (Some(reply), user) = (&operation.reply, operation.user.as_deref()) else { return Vec::new() };
    let version = reply.version.map(Seen::Version);
    match (operation.kind, reply.status) {
        (Kind::Get, 200) => {
            let shown = shown(operation, reply, lives, findings);
            if shown.first().map(|(_, seen)| *seen) != version {
                findings.wrong(format!("{operation}: its body is not that of its ETag, {:?}", reply.version));
            }
            user.zip(version).into_iter().collect()
        }
        // After a write is answered with its own version, everybody must see that version.
        (Kind::Get, 304) | (Kind::Create, 200 | 201) | (Kind::Update, 200) => {
            user.zip(version).into_iter().collect()
        }
        (Kind::Delete, 204) => {
            let end = user.and_then(|user| lives.get(user)?.deleted);
            user.zip(end.map(|end| Seen::Version(end.version))).into_iter().collect()
        }
        (Kind::Get, 404) => user.map(|user| (user, Seen::Nothing)).into_iter().collect(),
        (Kind::Search, 200) => searched(operation, reply, lives, findings),
        (Kind::List, 200) => listed(operation, reply, lives, findings),
        _ => Vec::new(),
    }
}

fn shown<'a>(
    operation: &Operation,
    reply: &'a Reply,
    lives: &BTreeMap<&'a str, Life<'a>>,
    findings: &mut Findings,
) -> Vec<(&'a str, Seen)> {
    let mut found = Vec::new();
    for (user, n) in &reply.shown {
        match lives.get(user.as_str()).and_then(|life| life.version_of(*n)) {
            Some(version) => found.push((user.as_str(), Seen::Version(version))),
            None => {
                findings.wrong(format!("{operation}: shows content {n} of {user}, which was never accepted"))
            }
        }
    }
    found
}

/// A search for the number of the create, which stays in the claims.
fn searched<'a>(
    operation: &'a Operation,
    reply: &'a Reply,
    lives: &BTreeMap<&'a str, Life<'a>>,
    findings: &mut Findings,
) -> Vec<(&'a str, Seen)> {
    let mut found = shown(operation, reply, lives, findings);
    let Some(user) = operation.user.as_deref() else { return found };
    let is_of_user = |life: &Life<'_>| life.facts.first().is_some_and(|fact| number(fact) == operation.n);
    if lives.get(user).is_some_and(is_of_user) && !found.iter().any(|(id, _)| *id == user) {
        found.push((user, Seen::Nothing));
    }
    found
}

/// A page also shows absence: of all users whose place is on the page but who are not in it.
fn listed<'a>(
    operation: &'a Operation,
    reply: &'a Reply,
    lives: &BTreeMap<&'a str, Life<'a>>,
    findings: &mut Findings,
) -> Vec<(&'a str, Seen)> {
    let mut found = shown(operation, reply, lives, findings);
    let place = |user: &str| lives.get(user).map(|life| life.place);
    let first = operation.after.as_deref().map(place);
    let last = reply.shown.last().filter(|_| !reply.is_last).map(|(user, _)| place(user));
    let in_page: std::collections::BTreeSet<&str> = found.iter().map(|(user, _)| *user).collect();
    for (user, life) in lives {
        let is_on_page = first.is_none_or(|first| Some(life.place) > first)
            && last.is_none_or(|last| Some(life.place) < last);
        let was_gone = life.gone_since.is_some_and(|since| since < operation.sent);
        if is_on_page && !was_gone && !in_page.contains(user) {
            found.push((user, Seen::Nothing));
        }
    }
    found
}
