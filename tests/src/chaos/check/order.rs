//! A write that was sent after another one was answered comes later in the log, and `If-Match`
//! holds.

use super::{evidence::Evidence, verdict::Findings};
use crate::{Accepted, chaos::history::Operation};
use std::collections::BTreeMap;

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let operations = &evidence.history.operations;
    let by_request: BTreeMap<&str, &Operation> =
        operations.iter().map(|operation| (operation.request.as_str(), operation)).collect();
    let mut users: BTreeMap<&str, Vec<(&Accepted, &Operation)>> = BTreeMap::new();
    for fact in &evidence.model.accepted {
        let operation = fact.request.as_deref().and_then(|request| by_request.get(request));
        if let Some(operation) = operation {
            users.entry(&fact.key).or_default().push((fact, operation));
            findings.looked();
            conditions(fact, operation, &mut findings);
        }
    }
    for writes in users.values_mut() {
        writes.sort_by_key(|(fact, _)| fact.version);
        inversions(writes, &mut findings);
    }
    findings
}

/// `If-Match` names the previous version.
fn conditions(fact: &Accepted, operation: &Operation, findings: &mut Findings) {
    if let Some(named) = operation.if_match.filter(|named| named + 1 != fact.version) {
        findings.wrong(format!("{operation}: If-Match names {named}, accepted as version {}", fact.version));
    }
}

/// One user's writes by version: none may be answered before one with a lower version was sent.
fn inversions(writes: &[(&Accepted, &Operation)], findings: &mut Findings) {
    let mut first_answered: Option<(&Accepted, &Operation)> = None;
    for (fact, operation) in writes.iter().rev() {
        if let Some((later, before)) = first_answered.filter(|(_, before)| before.answered < operation.sent) {
            findings.wrong(format!(
                "{operation} became version {}, though it was sent after {before}, version {}, was answered",
                fact.version, later.version
            ));
        }
        let is_acknowledged = operation.status().is_some_and(|status| (200..300).contains(&status));
        if is_acknowledged && first_answered.is_none_or(|(_, first)| operation.answered < first.answered) {
            first_answered = Some((fact, operation));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;
    use crate::chaos::history::Kind;

    #[test]
    fn nothing_is_wrong_with_a_sound_life() {
        assert!(wrong(check, |_, _| ()).is_empty());
    }

    #[test]
    fn what_was_sent_later_comes_later() {
        // Its event comes before that of a write that was answered before it was sent.
        let found =
            wrong(check, |operations, _| (operations[0].sent, operations[0].answered) = (at(12), at(13)));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn at_once_any_order_will_do() {
        let found =
            wrong(check, |operations, _| (operations[0].sent, operations[0].answered) = (at(3), at(13)));
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn what_was_never_answered_binds_nobody() {
        let late =
            wrong(check, |operations, _| (operations[4].sent, operations[4].answered) = (at(1), at(1)));
        assert!(late.is_empty(), "{late:?}");
    }

    #[test]
    fn a_condition_names_the_version_before() {
        assert_eq!(wrong(check, |operations, _| operations[1].if_match = Some(2)).len(), 1);
        assert_eq!(wrong(check, |operations, _| operations[4].if_match = Some(1)).len(), 1);
    }

    #[test]
    fn what_has_no_event_has_no_place() {
        let other = operation("r9", Kind::Update, Some(9), (1, 2), shows(200, 1, 9));
        assert!(wrong(check, |operations, _| operations.push(other)).is_empty());
    }
}
