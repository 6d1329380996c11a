//! The state of a credential. Its events have no sequence: their order in the log decides.

use events_schema::{
    Timestamp,
    credential::{Credential, CredentialEvent, Status},
};

/// A credential. Its status may be known before it is issued.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The time by which the list is ordered.
    pub created_at: Timestamp,
    /// The last status.
    pub status: Option<Status>,
    /// The credential as it was issued.
    pub issued: Option<Box<Credential>>,
}

impl State {
    fn is_revoked(&self) -> bool {
        self.status == Some(Status::Revoked)
    }

    /// The item of the credentials list, with the current status. `None` if the credential is not
    /// issued yet.
    pub fn body(&self) -> Option<String> {
        let issued = self.issued.as_deref()?;
        let item = Credential { status: self.status, ..issued.clone() };
        serde_json::to_string(&item).ok()
    }
}

/// The state after an event. `None` if the event has no effect.
pub fn evolve(state: Option<&State>, time: Timestamp, event: CredentialEvent) -> Option<State> {
    match event {
        // A credential is issued once. A later event with the same id has no effect.
        CredentialEvent::Issued(_) if state.is_some_and(|state| state.issued.is_some()) => None,
        CredentialEvent::Issued(data) => Some(State {
            created_at: data.created_at.unwrap_or(time),
            // A status change that precedes the issue in the log is newer than the issued status.
            status: state.and_then(|state| state.status).or(data.credential.status),
            issued: Some(Box::new(data.credential)),
        }),
        // A revocation is final.
        CredentialEvent::StatusChanged(_) if state.is_some_and(State::is_revoked) => None,
        CredentialEvent::StatusChanged(data) => Some(State {
            created_at: state.map_or(time, |state| state.created_at),
            status: Some(data.status),
            issued: state.and_then(|state| state.issued.clone()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events_schema::credential::{CredentialIssued, CredentialStatusChanged};
    use proptest::prelude::*;

    const ID: &str = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_millis(ms).unwrap()
    }

    fn issued(kind: &str) -> CredentialEvent {
        let data = serde_json::json!({ "id": ID, "type": kind, "profile": "mobile", "status": "valid" });
        CredentialEvent::Issued(Box::new(CredentialIssued::from_json(data).unwrap()))
    }

    fn changed(status: Status) -> CredentialEvent {
        CredentialEvent::StatusChanged(CredentialStatusChanged { id: ID.parse().unwrap(), status })
    }

    fn run(events: Vec<CredentialEvent>) -> Option<State> {
        events
            .into_iter()
            .zip(0..)
            .fold(None, |state, (event, n)| evolve(state.as_ref(), at(n), event).or(state))
    }

    #[test]
    fn a_status_before_the_credential_is_kept() {
        assert_eq!(run(vec![changed(Status::Revoked)]).unwrap().body(), None);
        let body = run(vec![changed(Status::Revoked), issued("a")]).unwrap().body().unwrap();
        assert!(body.contains(r#""status":"revoked""#), "{body}");
    }

    #[test]
    fn revoked_is_final() {
        let revoked = run(vec![issued("a"), changed(Status::Revoked)]);
        let later = [changed(Status::Valid), changed(Status::Suspended), issued("b")];
        let facts = [vec![issued("a"), changed(Status::Revoked)], later.to_vec()].concat();
        assert_eq!(run(facts), revoked);
    }

    proptest! {
        #[test]
        fn issued_once(statuses in prop::collection::vec(0u8..3, 0..6), before in 0usize..6) {
            let status = |n: &u8| [Status::Valid, Status::Suspended, Status::Revoked][usize::from(*n)];
            let mut events: Vec<_> = statuses.iter().map(|n| changed(status(n))).collect();
            events.insert(before.min(events.len()), issued("first"));
            events.push(issued("second"));
            let state = run(events).unwrap();
            prop_assert_eq!(state.issued.as_ref().unwrap().credential_type.as_str(), "first");
            // The first revocation, or else the last status.
            let all: Vec<_> = statuses.iter().map(status).collect();
            let revoked = all.iter().find(|status| **status == Status::Revoked);
            prop_assert_eq!(state.status, revoked.or(all.last()).copied().or(Some(Status::Valid)));
        }
    }
}
