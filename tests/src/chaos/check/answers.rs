//! Every answer is in the contract of its operation, and a 503 has `Retry-After`.

use super::{evidence::Evidence, verdict::Findings};
use crate::chaos::history::{Kind, Operation};

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    for operation in &evidence.history.operations {
        let Some(reply) = &operation.reply else {
            findings.note("without an answer");
            continue;
        };
        findings.looked();
        if !expected(operation).contains(&reply.status) {
            findings.wrong(format!("{operation}: {}", reply.message.as_deref().unwrap_or_default()));
        } else if reply.status == 503 {
            findings.note("503");
            if !reply.has_retry_after {
                findings.wrong(format!("{operation}: no Retry-After"));
            }
        }
    }
    findings
}

fn expected(operation: &Operation) -> &'static [u16] {
    match operation.kind {
        Kind::Create if operation.key.is_some() => &[200, 201, 202, 409, 422, 503],
        Kind::Create => &[201, 202, 503],
        Kind::Update => &[200, 202, 404, 409, 412, 503],
        Kind::Delete => &[202, 204, 404, 409, 412, 503],
        Kind::Get => &[200, 304, 404, 503],
        Kind::List | Kind::Search | Kind::Credentials => &[200, 503],
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;
    use crate::chaos::history::Reply;

    #[test]
    fn nothing_is_wrong_with_a_sound_life() {
        assert!(wrong(check, |_, _| ()).is_empty());
    }

    #[test]
    fn other_statuses_are_wrong() {
        for (kind, status) in [(Kind::Get, 500), (Kind::Create, 409), (Kind::Update, 201), (Kind::List, 404)]
        {
            let odd = operation("r8", kind, None, (8, 9), refused(status, ""));
            assert_eq!(wrong(check, |operations, _| operations.push(odd)).len(), 1, "{kind:?} {status}");
        }
    }

    #[test]
    fn a_503_says_when_to_come_again() {
        let words = Reply { has_retry_after: false, ..refused(503, "") };
        let odd = |reply| operation("r8", Kind::Get, None, (8, 9), reply);
        assert_eq!(wrong(check, |operations, _| operations.push(odd(words))).len(), 1);
        assert!(wrong(check, |operations, _| operations.push(odd(refused(503, "")))).is_empty());
    }
}
