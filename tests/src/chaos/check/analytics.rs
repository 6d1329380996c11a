//! Each change has one SUCCESS, and each request one START and one end, unless a process died
//! before it sent them.

use super::{
    evidence::{Analytic, Evidence},
    verdict::Findings,
};
use crate::chaos::history::{Kind, Operation};
use std::collections::BTreeMap;

/// The number of events of a request, by type.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    start: usize,
    success: usize,
    fail: usize,
}

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let counts = count(&evidence.analytics);
    let of = |request: &str| counts.get(request).copied().unwrap_or_default();
    let accepted = evidence.by_request();
    for request in accepted.keys() {
        findings.looked();
        if of(request).success != 1 {
            findings.wrong(format!("request {request} was accepted and has {} SUCCESS", of(request).success));
        }
    }
    let is_complete = evidence.nobody_was_restarted() && evidence.dropped == 0;
    for operation in &evidence.history.operations {
        findings.looked();
        let (count, is_accepted) =
            (of(&operation.request), accepted.contains_key(operation.request.as_str()));
        own(operation, count, is_accepted, &mut findings);
        missing(operation, count, is_complete, &mut findings);
    }
    findings
}

fn count(events: &[Analytic]) -> BTreeMap<&str, Count> {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for event in events {
        let count = counts.entry(&event.request).or_default();
        match event.name.rsplit_once('_') {
            Some((_, "START")) => count.start += 1,
            Some((_, "SUCCESS")) => count.success += 1,
            _ => count.fail += 1,
        }
    }
    counts
}

/// Events that must not exist, whatever died.
fn own(operation: &Operation, count: Count, is_accepted: bool, findings: &mut Findings) {
    if count.start > 1 || count.fail > 1 || (count.success > 1 && !is_accepted) {
        findings.wrong(format!("{operation}: {count:?}"));
    }
    let may_be_a_repeat =
        operation.was(Kind::Create, 200) || (operation.kind == Kind::Create && operation.reply.is_none());
    if operation.kind.is_write() && count.success > 0 && !is_accepted && !may_be_a_repeat {
        findings.wrong(format!("{operation}: SUCCESS without an accepted event"));
    }
    if count.success > 0 && count.fail > 0 {
        if operation.is_ambiguous() {
            findings.note("SUCCESS and FAIL where the outcome was unclear");
        } else {
            findings.wrong(format!("{operation}: both SUCCESS and FAIL"));
        }
    }
}

/// Events that must exist, unless a process died with them or reports their loss. A write answered
/// with 202 may still wait for its end.
fn missing(operation: &Operation, count: Count, is_complete: bool, findings: &mut Findings) {
    let Some(status) = operation.status() else { return };
    let ends = count.success + count.fail;
    let lacks = match (count.start, ends) {
        (0, _) => "START",
        (_, 0) if status != 202 => "an end",
        _ => return,
    };
    match (is_complete, lacks) {
        (true, _) => findings.wrong(format!("{operation}: lacks {lacks}")),
        (false, "START") => findings.note("START lost with its process"),
        (false, _) => findings.note("end lost with its process"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;

    fn changed(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let (operations, log) = life();
        let mut evidence = evidence(operations, &log);
        change(&mut evidence);
        check(&evidence).wrong
    }

    fn event(request: &str, name: &str) -> Analytic {
        Analytic {
            id: format!("{request} {name}"),
            at: (0, 99),
            request: request.to_owned(),
            name: name.to_owned(),
        }
    }

    fn remove(evidence: &mut Evidence, request: &str, end: &str) {
        evidence.analytics.retain(|event| event.request != request || !event.name.ends_with(end));
    }

    #[test]
    fn nothing_is_wrong_with_a_sound_life() {
        assert!(changed(|_| ()).is_empty());
    }

    #[test]
    fn a_change_has_one_success() {
        // Its request has no end either.
        assert_eq!(changed(|evidence| remove(evidence, "r2", "SUCCESS")).len(), 2);
        assert_eq!(changed(|evidence| evidence.analytics.push(event("r2", "USER_UPDATE_SUCCESS"))).len(), 1);
    }

    #[test]
    fn without_an_event_there_is_no_success() {
        let success = |evidence: &mut Evidence| {
            remove(evidence, "r3", "FAIL");
            evidence.analytics.push(event("r3", "USER_UPDATE_SUCCESS"));
        };
        assert_eq!(changed(success).len(), 1);
    }

    #[test]
    fn one_start_and_one_end() {
        assert_eq!(changed(|evidence| evidence.analytics.push(event("r4", "USER_GET_START"))).len(), 1);
        assert_eq!(changed(|evidence| evidence.analytics.push(event("r3", "USER_UPDATE_FAIL"))).len(), 1);
        assert_eq!(changed(|evidence| evidence.analytics.push(event("r2", "USER_UPDATE_FAIL"))).len(), 1);
        // The outcome is unknown.
        assert!(changed(|evidence| evidence.analytics.push(event("r5", "USER_UPDATE_FAIL"))).is_empty());
    }

    #[test]
    fn what_is_missing_counts_where_nobody_died() {
        assert_eq!(changed(|evidence| remove(evidence, "r4", "START")).len(), 1);
        assert_eq!(changed(|evidence| remove(evidence, "r4", "SUCCESS")).len(), 1);
        let died = |evidence: &mut Evidence| {
            remove(evidence, "r4", "START");
            evidence.ended = vec![Some(("i".to_owned(), "2".to_owned()))];
        };
        assert!(changed(died).is_empty());
        let lost = |evidence: &mut Evidence| {
            remove(evidence, "r4", "SUCCESS");
            evidence.dropped = 1;
        };
        assert!(changed(lost).is_empty());
    }
}
