//! The final state in every store and on every instance is that of a sequential fold of the log.

use super::{
    evidence::{Evidence, LastWord, Row},
    verdict::Findings,
};
use crate::User;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let read = &evidence.read_model;
    let of_model = |is_alive: bool| {
        let users = evidence.model.users.iter().filter(move |(_, user)| user.personal.is_some() == is_alive);
        users.map(|(key, user)| (key.as_str(), (user.version, claims(user)))).collect()
    };
    differences("live.users", &read.users, &of_model(true), &mut findings);
    differences("live.tombstones", &read.tombstones, &of_model(false), &mut findings);
    rejections(evidence, &mut findings);
    for word in &read.last_words {
        last_word(evidence, word, &mut findings);
    }
    let page = evidence.model.page(&evidence.history.targets.tenant);
    for (instance, list) in &read.lists {
        findings.looked_at(list.len());
        if *list != page {
            findings.wrong(format!(
                "the list of {instance}, {} users, is not that of the log, {}",
                list.len(),
                page.len()
            ));
        }
    }
    if read.dead_letters != 0 {
        findings
            .wrong(format!("{} dead letters, though nothing was wrong with any event", read.dead_letters));
    }
    findings
}

fn claims(user: &User) -> Option<&Value> {
    user.personal.as_ref().map(|personal| &personal["claims"])
}

type Wanted<'a> = BTreeMap<&'a str, (u64, Option<&'a Value>)>;

/// Compares in both directions.
fn differences(table: &str, rows: &[Row], wanted: &Wanted<'_>, findings: &mut Findings) {
    findings.looked_at(wanted.len());
    let found: Wanted<'_> =
        rows.iter().map(|(key, version, claims)| (key.as_str(), (*version, claims.as_ref()))).collect();
    for (key, (version, claims)) in wanted {
        match found.get(key) {
            None => findings.wrong(format!("{table} lacks {key}, version {version}")),
            Some((other, _)) if other != version => {
                findings.wrong(format!("{table} has {key} at version {other}, the log at {version}"));
            }
            Some((_, other)) if other != claims => {
                findings.wrong(format!("{table} has other claims of {key}, version {version}"));
            }
            Some(_) => {}
        }
    }
    for key in found.keys().filter(|key| !wanted.contains_key(*key)) {
        findings.wrong(format!("{table} has {key}, which does not follow from the log"));
    }
}

fn rejections(evidence: &Evidence, findings: &mut Findings) {
    let (model, read) = (&evidence.model.rejected, &evidence.read_model.rejections);
    findings.looked_at(model.len());
    for at in model.difference(read) {
        findings.wrong(format!("the event at {at:?} has no effect, and live.rejections does not say so"));
    }
    for at in read.difference(model) {
        findings.wrong(format!("live.rejections has {at:?}, which the log's rule accepts"));
    }
}

fn last_word(evidence: &Evidence, word: &LastWord, findings: &mut Findings) {
    findings.looked();
    let user = evidence.model.users.get(&evidence.key(&word.user));
    let alive = user.filter(|user| user.personal.is_some());
    let wanted =
        (if alive.is_some() { 200 } else { 404 }, alive.map(|user| user.version), alive.and_then(claims));
    let found = (word.status, word.version, word.claims.as_ref());
    if found != wanted {
        findings.wrong(format!(
            "{} answers {} for {} at version {:?}; by the log {} at {:?}",
            word.instance, found.0, word.user, found.1, wanted.0, wanted.1
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;
    use crate::chaos::check::evidence::ReadModel;
    use serde_json::json;

    /// The findings after a change to the read model, for a log with a living or a deleted user.
    fn changed(is_alive: bool, change: impl FnOnce(&mut ReadModel)) -> usize {
        let (operations, mut log) = life();
        if is_alive {
            log.pop();
        }
        let mut evidence = evidence(operations, &log);
        change(&mut evidence.read_model);
        check(&evidence).wrong.len()
    }

    #[test]
    fn nothing_is_wrong_with_a_sound_life() {
        assert_eq!((changed(true, |_| ()), changed(false, |_| ())), (0, 0));
    }

    #[test]
    fn rows_are_those_of_the_log() {
        assert_eq!(changed(true, |read| read.users.clear()), 1);
        assert_eq!(changed(true, |read| read.users[0].1 = 2), 1);
        assert_eq!(changed(true, |read| read.users[0].2 = Some(json!({ "n": 2 }))), 1);
        assert_eq!(changed(true, |read| read.users.push(("t/other".to_owned(), 1, Some(json!({}))))), 1);
        assert_eq!(changed(false, |read| read.tombstones.clear()), 1);
        assert_eq!(changed(false, |read| read.users.push((format!("t/{USER}"), 3, Some(json!({}))))), 1);
    }

    #[test]
    fn rejections_are_those_of_the_log() {
        assert_eq!(changed(true, |read| read.rejections.clear()), 1);
        assert_eq!(changed(true, |read| read.rejections.extend([(0, 2)])), 1);
    }

    #[test]
    fn every_instance_says_the_same() {
        assert_eq!(changed(true, |read| read.last_words[0].version = Some(2)), 1);
        assert_eq!(changed(true, |read| read.last_words[0].claims = Some(json!({}))), 1);
        assert_eq!(changed(false, |read| read.last_words[0].status = 200), 1);
        assert_eq!(changed(true, |read| read.lists[0].1.clear()), 1);
    }

    #[test]
    fn nothing_was_parked() {
        assert_eq!(changed(true, |read| read.dead_letters = 1), 1);
    }
}
