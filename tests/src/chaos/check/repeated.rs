//! No `ce_id` is in a topic twice, neither of domain events nor of analytic events.

use super::{evidence::Evidence, verdict::Findings};
use crate::chaos::history::Position;
use std::collections::BTreeMap;

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let events = evidence.ids.iter().map(|(id, at)| (id.as_str(), "event", *at));
    let analytics = evidence.analytics.iter().map(|event| (event.id.as_str(), event.name.as_str(), event.at));
    once("users.events", events, &mut findings);
    once("users.analytics", analytics, &mut findings);
    if evidence.markers_skipped {
        findings.note("Kafka left the markers of a transaction out");
    }
    findings
}

/// Checks a topic, given as id, type and place of each event.
fn once<'e>(
    topic: &str,
    events: impl Iterator<Item = (&'e str, &'e str, Position)>,
    findings: &mut Findings,
) {
    let mut places: BTreeMap<&str, (&str, Vec<Position>)> = BTreeMap::new();
    for (id, name, at) in events {
        findings.looked();
        places.entry(id).or_insert((name, Vec::new())).1.push(at);
    }
    for (id, (name, places)) in places.into_iter().filter(|(_, (_, places))| places.len() > 1) {
        findings.wrong(format!("{name} {id} is in {topic} {} times: {places:?}", places.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    fn changed(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let (operations, log) = life();
        let mut evidence = evidence(operations, &log);
        change(&mut evidence);
        check(&evidence).wrong
    }

    #[test]
    fn nothing_is_wrong_with_a_sound_life() {
        assert!(changed(|_| ()).is_empty());
    }

    #[test]
    fn an_analytic_event_of_any_type_comes_once() {
        for (request, end) in [("r4", "START"), ("r2", "SUCCESS"), ("r3", "FAIL")] {
            let found = changed(|evidence| {
                let is_it = |event: &&super::super::evidence::Analytic| {
                    event.request == request && event.name.ends_with(end)
                };
                let mut again = evidence.analytics.iter().find(is_it).unwrap().clone();
                again.at = (0, 983);
                evidence.analytics.push(again);
            });
            assert!(found.len() == 1 && found[0].contains("users.analytics 2 times"), "{found:?}");
        }
    }

    #[test]
    fn what_kafka_left_out_excuses_nothing() {
        let found = changed(|evidence| {
            evidence.markers_skipped = true;
            evidence.analytics.extend(evidence.analytics.clone());
        });
        assert_eq!(found.len(), 14, "each request has a START and an end");
    }

    #[test]
    fn a_domain_event_comes_once() {
        let found = changed(|evidence| evidence.ids.push(("e2".to_owned(), (0, 9))));
        assert_eq!(found, ["event e2 is in users.events 2 times: [(0, 2), (0, 9)]"]);
    }
}
