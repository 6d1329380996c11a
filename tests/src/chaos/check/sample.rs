//! Made-up histories of one user, for tests of the checks.

use super::evidence::{Analytic, Evidence, LastWord, ReadModel};
use crate::{
    Model, Record,
    chaos::{
        history::{History, Kind, Operation, Reply},
        load::Targets,
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

/// The user of the samples.
pub(super) const USER: &str = "u";

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A time in the sample.
pub(super) fn at(second: u64) -> Instant {
    *BEGAN + Duration::from_secs(second)
}

/// An operation on the user, sent and answered at these times.
pub(super) fn operation(
    request: &str,
    kind: Kind,
    n: Option<u64>,
    times: (u64, u64),
    reply: Reply,
) -> Operation {
    Operation {
        request: request.to_owned(),
        kind,
        instance: "i".to_owned(),
        user: Some(USER.to_owned()),
        n,
        if_match: None,
        key: None,
        read_after: None,
        after: None,
        sent: at(times.0),
        answered: at(times.1),
        reply: Some(reply),
    }
}

/// An answer with the user's version and number.
pub(super) fn shows(status: u16, version: u64, n: u64) -> Reply {
    Reply {
        status,
        version: Some(version),
        shown: vec![(USER.to_owned(), n)],
        is_last: true,
        ..Reply::default()
    }
}

/// The same as the answer of a write.
pub(super) fn wrote(status: u16, version: u64, n: u64, offset: i64) -> Reply {
    Reply { position: Some((0, offset)), ..shows(status, version, n) }
}

/// A refusal.
pub(super) fn refused(status: u16, words: &str) -> Reply {
    let has_retry_after = status == 503;
    Reply { status, message: Some(words.to_owned()), has_retry_after, ..Reply::default() }
}

/// An event of the user.
pub(super) fn event(request: &str, offset: i64, kind: Kind, sequence: u64, n: u64) -> Record {
    let ce_type = match kind {
        Kind::Create => "user.created.v1",
        Kind::Delete => "user.deleted.v1",
        _ => "user.updated.v1",
    };
    let headers = [
        ("ce_id", &*format!("e{offset}")),
        ("ce_type", ce_type),
        ("ce_sequence", &sequence.to_string()),
        ("ce_requestid", request),
    ];
    let data = json!({ "createdAt": "c", "personal": { "claims": { "n": n } } });
    Record {
        partition: 0,
        offset,
        key: format!("t/{USER}"),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        value: data.to_string().into_bytes(),
    }
}

/// The evidence of these operations and this log, with a correct read model and analytic events.
pub(super) fn evidence(operations: Vec<Operation>, records: &[Record]) -> Evidence {
    let model = Model::of(records);
    let log =
        records.iter().map(|record| ((0, record.offset), Some(record.header("ce_requestid").to_owned())));
    let log: BTreeMap<_, _> = log.collect();
    let ids = records.iter().map(|record| (record.header("ce_id").to_owned(), (0, record.offset))).collect();
    let process = vec![Some(("i".to_owned(), "1".to_owned()))];
    Evidence {
        read_model: read_model(&model),
        analytics: analytics(&operations, &model),
        log,
        ids,
        model,
        history: History { targets: targets(), operations, began: process.clone() },
        ended: process,
        dropped: 0,
        markers_skipped: false,
    }
}

fn targets() -> Targets {
    Targets { command: Vec::new(), query: Vec::new(), tenant: "t".to_owned(), token: String::new() }
}

fn read_model(model: &Model) -> ReadModel {
    let claims = |personal: &Option<Value>| personal.as_ref().map(|personal| personal["claims"].clone());
    let all = || model.users.iter().map(|(key, user)| (key.clone(), user.version, claims(&user.personal)));
    let words = all().map(|(key, version, claims)| LastWord {
        instance: "i".to_owned(),
        user: key.replace("t/", ""),
        status: if claims.is_some() { 200 } else { 404 },
        version: claims.is_some().then_some(version),
        claims,
    });
    ReadModel {
        users: all().filter(|(.., claims)| claims.is_some()).collect(),
        tombstones: all().filter(|(.., claims)| claims.is_none()).collect(),
        rejections: model.rejected.clone(),
        dead_letters: 0,
        last_words: words.collect(),
        lists: vec![("i".to_owned(), model.page("t"))],
    }
}

fn analytics(operations: &[Operation], model: &Model) -> Vec<Analytic> {
    let mut events = Vec::new();
    for operation in operations {
        let mut event = |name: &str| {
            let (request, name) = (operation.request.clone(), format!("USER_X_{name}"));
            let at = (0, i64::try_from(events.len()).unwrap());
            events.push(Analytic { id: format!("{request} {name}"), at, request, name });
        };
        event("START");
        let is_accepted = model.accepted.iter().any(|fact| fact.request.as_ref() == Some(&operation.request));
        let is_done = operation.status().is_some_and(|status| status < 400) && !operation.kind.is_write();
        event(if is_accepted || is_done { "SUCCESS" } else { "FAIL" });
    }
    events
}

/// A correct history: create, conditional update, rejected update, read, unanswered update, delete.
pub(super) fn life() -> (Vec<Operation>, Vec<Record>) {
    let guarded = operation("r2", Kind::Update, Some(2), (3, 4), wrote(200, 2, 2, 2));
    let mut lost = operation("r5", Kind::Update, Some(5), (9, 19), Reply::default());
    lost.reply = None;
    let gone = Reply { status: 204, position: Some((0, 5)), ..Reply::default() };
    let operations = vec![
        operation("r1", Kind::Create, Some(1), (1, 2), wrote(201, 1, 1, 0)),
        Operation { if_match: Some(1), ..guarded },
        operation("r3", Kind::Update, Some(3), (3, 5), refused(412, "another version")),
        operation("r4", Kind::Get, None, (6, 7), shows(200, 2, 2)),
        lost,
        operation("r6", Kind::Delete, None, (20, 21), gone),
        operation("r7", Kind::Get, None, (22, 23), refused(404, "not there")),
    ];
    let log = vec![
        event("r1", 0, Kind::Create, 1, 1),
        event("r2", 2, Kind::Update, 2, 2),
        // Superseded.
        event("r3", 3, Kind::Update, 2, 3),
        event("r5", 4, Kind::Update, 3, 5),
        event("r6", 5, Kind::Delete, 4, 0),
    ];
    (operations, log)
}

/// Runs a check on the changed history.
pub(super) fn wrong(
    check: super::Check,
    change: impl FnOnce(&mut Vec<Operation>, &mut Vec<Record>),
) -> Vec<String> {
    let (mut operations, mut log) = life();
    change(&mut operations, &mut log);
    check(&evidence(operations, &log)).wrong
}
