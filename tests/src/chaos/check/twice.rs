//! Nothing is applied twice: at most one accepted event for each request and for each body.

use super::{
    evidence::{Evidence, number},
    verdict::Findings,
};
use crate::Accepted;
use std::collections::BTreeMap;

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    findings.looked_at(evidence.facts().count());
    for (request, facts) in repeated(evidence, |fact| fact.request.clone()) {
        findings.wrong(format!("request {request} has {} accepted events: {}", facts.len(), places(&facts)));
    }
    for (n, facts) in repeated(evidence, number) {
        findings.wrong(format!("content {n} was accepted {} times: {}", facts.len(), places(&facts)));
    }
    for at in &evidence.model.misfits {
        findings.wrong(format!("the event at {at:?} does not follow on its user's version"));
    }
    for (user, version, answers) in versions_answered_twice(evidence) {
        findings.wrong(format!(
            "version {version} of {user} was answered to several writes: {}",
            answers.join(", ")
        ));
    }
    findings
}

/// Values that more than one event has.
fn repeated<K: Ord>(evidence: &Evidence, of: impl Fn(&Accepted) -> Option<K>) -> BTreeMap<K, Vec<&Accepted>> {
    let mut found: BTreeMap<K, Vec<&Accepted>> = BTreeMap::new();
    for fact in evidence.facts() {
        if let Some(key) = of(fact) {
            found.entry(key).or_default().push(fact);
        }
    }
    found.retain(|_, facts| facts.len() > 1);
    found
}

fn places(facts: &[&Accepted]) -> String {
    let all: Vec<_> = facts.iter().map(|fact| format!("{:?} as version {}", fact.at, fact.version)).collect();
    all.join(", ")
}

/// Each version is made by exactly one write.
fn versions_answered_twice(evidence: &Evidence) -> Vec<(String, u64, Vec<String>)> {
    let mut found: BTreeMap<(&str, u64), Vec<String>> = BTreeMap::new();
    for operation in &evidence.history.operations {
        let version = operation.applied().and_then(|reply| reply.version);
        if let (Some(user), Some(version)) = (operation.user.as_deref(), version) {
            found.entry((user, version)).or_default().push(operation.request.clone());
        }
    }
    let several = found.into_iter().filter(|(_, requests)| requests.len() > 1);
    several.map(|((user, version), requests)| (user.to_owned(), version, requests)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};
    use crate::chaos::history::Kind;

    #[test]
    fn nothing_is_wrong_with_a_sound_life() {
        assert!(wrong(check, |_, _| ()).is_empty());
    }

    #[test]
    fn a_request_has_one_event() {
        let found = wrong(check, |_, log| log.insert(4, event("r2", 9, Kind::Update, 4, 9)));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("request r2 has 2 accepted events"));
    }

    #[test]
    fn content_counts_once() {
        let found = wrong(check, |_, log| log.insert(4, event("r9", 9, Kind::Update, 4, 2)));
        assert!(found.len() == 1 && found[0].starts_with("content 2 was accepted 2 times"), "{found:?}");
    }

    #[test]
    fn versions_have_no_gap() {
        assert_eq!(wrong(check, |_, log| drop(log.remove(3))).len(), 1);
    }

    #[test]
    fn a_version_is_one_writes() {
        let again = operation("r8", Kind::Update, Some(8), (8, 9), wrote(200, 2, 8, 2));
        assert_eq!(wrong(check, |operations, _| operations.push(again)).len(), 1);
    }
}
