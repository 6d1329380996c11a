//! No acknowledged write is lost: it is in the log at the answered position, and took effect.

use super::{
    evidence::{Evidence, number},
    verdict::Findings,
};
use crate::{
    Accepted,
    chaos::history::{Kind, Operation, Reply},
};
use std::collections::BTreeMap;

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let accepted = evidence.by_request();
    for operation in &evidence.history.operations {
        let Some(reply) = &operation.reply else { continue };
        let wrong = match (operation.applied(), operation.kind, reply.status) {
            (Some(reply), ..) => applied(evidence, operation, reply, &accepted),
            (None, Kind::Create, 200) => repeated(evidence, operation, reply),
            (None, kind, 202) if kind.is_write() => promised(evidence, operation, reply),
            _ => continue,
        };
        findings.looked();
        if let Some(wrong) = wrong {
            findings.wrong(format!("{operation}: {wrong}"));
        }
    }
    findings
}

/// 200, 201, 204: exactly one event of the request took effect, at the answered position.
fn applied(
    evidence: &Evidence,
    operation: &Operation,
    reply: &Reply,
    accepted: &BTreeMap<&str, Vec<&Accepted>>,
) -> Option<String> {
    let Some(fact) = accepted.get(operation.request.as_str()).and_then(|facts| facts.first()) else {
        return Some("no event of it has had an effect".to_owned());
    };
    let key = operation.user.as_deref().map(|user| evidence.key(user));
    let shows = reply.shown.first();
    if reply.position != Some(fact.at) {
        Some(format!("answered position {:?}, accepted at {:?}", reply.position, fact.at))
    } else if reply.version.is_some_and(|version| version != fact.version) {
        Some(format!("answered version {:?}, accepted as {}", reply.version, fact.version))
    } else if key.as_deref() != Some(fact.key.as_str()) {
        Some("its event is another user's".to_owned())
    } else if number(fact) != operation.n || shows.is_some_and(|(_, n)| Some(*n) != operation.n) {
        Some("its event or its answer has not what was sent".to_owned())
    } else {
        None
    }
}

/// A repeated create: the user was created with an equal body and the same key.
fn repeated(evidence: &Evidence, operation: &Operation, reply: &Reply) -> Option<String> {
    let key = evidence.key(operation.user.as_deref()?);
    let Some(made) = evidence.model.accepted.iter().find(|fact| fact.key == key) else {
        return Some("shows a user that was never made".to_owned());
    };
    let last = evidence.model.users.get(&key).map(|user| user.version);
    if number(made) != operation.n {
        Some("shows a user that was made by another body".to_owned())
    } else if reply.version > last {
        Some(format!("shows version {:?}, the log ends at {last:?}", reply.version))
    } else {
        None
    }
}

/// 202: the event is in the log.
fn promised(evidence: &Evidence, operation: &Operation, reply: &Reply) -> Option<String> {
    let Some(position) = reply.position else { return Some("names no position".to_owned()) };
    match evidence.log.get(&position) {
        None => Some(format!("nothing is in the log at {position:?}")),
        Some(request) if request.as_ref() != Some(&operation.request) => {
            Some(format!("the event at {position:?} is not its own"))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    #[test]
    fn nothing_is_wrong_with_a_sound_life() {
        assert!(wrong(check, |_, _| ()).is_empty());
    }

    #[test]
    fn an_acknowledged_event_must_be_there() {
        assert_eq!(
            wrong(check, |_, log| drop(log.remove(0))).len(),
            3,
            "without its creation nothing follows"
        );
        assert_eq!(wrong(check, |_, log| drop(log.pop())).len(), 1);
    }

    #[test]
    fn an_answer_names_its_own_event() {
        let answer = |change: fn(&mut Reply)| {
            wrong(check, |operations, _| change(operations[1].reply.as_mut().unwrap())).len()
        };
        assert_eq!(answer(|reply| reply.position = Some((0, 3))), 1);
        assert_eq!(answer(|reply| reply.position = None), 1);
        assert_eq!(answer(|reply| reply.version = Some(3)), 1);
        assert_eq!(answer(|reply| reply.shown[0].1 = 7), 1);
    }

    #[test]
    fn an_event_has_what_was_sent() {
        assert_eq!(wrong(check, |operations, _| operations[1].n = Some(7)).len(), 1);
        assert_eq!(wrong(check, |operations, _| operations[1].user = Some("v".to_owned())).len(), 1);
    }

    #[test]
    fn a_promised_event_is_in_the_log() {
        let promise = |offset: i64| {
            wrong(check, |operations, _| operations[1].reply = Some(wrote(202, 2, 2, offset))).len()
        };
        assert_eq!((promise(2), promise(9), promise(3)), (0, 1, 1));
    }

    #[test]
    fn a_repeat_shows_what_its_body_made() {
        let repeat = |n: u64, version: u64| {
            let repeated = operation("r8", Kind::Create, Some(n), (30, 31), shows(200, version, 1));
            wrong(check, |operations, _| operations.push(repeated)).len()
        };
        assert_eq!((repeat(1, 1), repeat(2, 1), repeat(1, 9)), (0, 1, 1));
    }
}
