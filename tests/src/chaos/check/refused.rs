//! A rejected write is never applied: neither a 4xx nor a 503 that says that nothing was written.

use super::{evidence::Evidence, verdict::Findings};

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let accepted = evidence.by_request();
    for operation in evidence.history.operations.iter().filter(|operation| operation.kind.is_write()) {
        if operation.is_ambiguous() {
            let is_applied = accepted.contains_key(operation.request.as_str());
            findings.note(if is_applied {
                "unclear to the client, applied"
            } else {
                "unclear to the client, not applied"
            });
        } else if operation.status().is_some_and(|status| status >= 400) {
            findings.looked();
            if let Some(fact) = accepted.get(operation.request.as_str()).and_then(|facts| facts.first()) {
                findings.wrong(format!("{operation}: accepted at {:?} all the same", fact.at));
            }
        }
    }
    findings
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
    fn a_refusal_has_no_event() {
        for (status, words, wrongs) in [
            (412, "another version", 1),
            (503, "nothing was written", 1),
            (503, "it may still take effect", 0),
        ] {
            let refusal = operation("r2", Kind::Update, Some(2), (3, 4), refused(status, words));
            assert_eq!(wrong(check, |operations, _| operations[1] = refusal).len(), wrongs, "{words}");
        }
    }
}
