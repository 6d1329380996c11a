//! The state of a user, and the rule by which an event of the log is accepted or rejected.

use events_schema::{EventType, ReasonCode, Timestamp, personal::Personal};
use uuid::Uuid;

/// The state of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// No event was accepted yet.
    #[default]
    Unknown,
    /// The user exists at this version.
    Present(u64),
    /// The user was deleted for good. The version is that of the deletion.
    Deleted(u64),
}

impl State {
    /// The version, or 0 if there is no user.
    pub fn version(self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Present(version) | Self::Deleted(version) => version,
        }
    }
}

/// Why an event has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Another event took this sequence first.
    Superseded,
    /// The user was deleted.
    Deleted,
    /// It can't follow from the state. It becomes a dead letter.
    Poison(ReasonCode),
}

/// An event with its personal data opened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The user was created.
    Created(Creation, OpenedPersonal),
    /// Claims and link were replaced.
    Updated(OpenedPersonal),
    /// The user was deleted.
    Deleted,
}

/// The personal data of an event, opened.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenedPersonal {
    /// Claims and link.
    pub personal: Personal,
    /// The key under which it was sealed. `None` if the event is older than keys.
    pub key_id: Option<Uuid>,
}

/// How the events of a batch change one user.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Writes the user's new state.
    Write {
        /// Set if the user was created in this batch.
        created: Option<Creation>,
        /// Claims and link, with the key of the last event.
        written: OpenedPersonal,
    },
    /// Deletes the user and all their data.
    Delete {
        /// When the deletion was requested.
        at: Timestamp,
    },
}

/// What creation fixes for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// The time by which pages are ordered.
    pub at: Timestamp,
    /// Tells a repeated create from a different one. It reveals nothing without the user's key.
    pub digest: [u8; 32],
}

/// A user while a batch is folded: the state, and the change since it was loaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct User {
    /// The current state.
    pub state: State,
    /// The change to write.
    pub change: Option<Change>,
}

impl User {
    /// A user as loaded from the read model.
    pub fn new(state: State) -> Self {
        Self { state, change: None }
    }

    /// Applies an event. It is accepted if and only if its sequence is the version + 1 and the user
    /// is not deleted.
    ///
    /// # Errors
    /// Why the event has no effect. Nothing has changed then.
    pub fn apply(&mut self, sequence: u64, time: Timestamp, fact: Fact) -> Result<(), Rejection> {
        self.admit(sequence, fact.event_type())?;
        (self.state, self.change) = match fact {
            Fact::Created(creation, written) => {
                (State::Present(sequence), Some(Change::Write { created: Some(creation), written }))
            }
            Fact::Updated(written) => {
                let created = match self.change.take() {
                    Some(Change::Write { created, .. }) => created,
                    Some(Change::Delete { .. }) | None => None,
                };
                (State::Present(sequence), Some(Change::Write { created, written }))
            }
            Fact::Deleted => (State::Deleted(sequence), Some(Change::Delete { at: time })),
        };
        Ok(())
    }

    /// Checks whether an event of that type would be accepted. Called before its personal data is
    /// opened, because an event without effect need not be readable.
    ///
    /// # Errors
    /// Why it would be rejected.
    pub fn admit(&self, sequence: u64, event_type: EventType) -> Result<(), Rejection> {
        let version = match self.state {
            State::Deleted(_) => return Err(Rejection::Deleted),
            State::Unknown => 0,
            State::Present(version) => version,
        };
        if sequence <= version {
            return Err(Rejection::Superseded);
        }
        if sequence != version + 1 {
            return Err(Rejection::Poison(ReasonCode::Gap));
        }
        match (event_type == EventType::UserCreated, version) {
            (true, 0) => Ok(()),
            (true, _) => Err(Rejection::Poison(ReasonCode::CreatedAgain)),
            (false, 0) => Err(Rejection::Poison(ReasonCode::NotCreated)),
            (false, _) => Ok(()),
        }
    }
}

impl Fact {
    /// The type under which it was written.
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Created(..) => EventType::UserCreated,
            Self::Updated(_) => EventType::UserUpdated,
            Self::Deleted => EventType::UserDeleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_millis(ms).unwrap()
    }

    fn written(n: u8) -> OpenedPersonal {
        let claims = serde_json::json!({ "n": n }).as_object().cloned().unwrap();
        OpenedPersonal { personal: Personal { claims, authentication_provider: None }, key_id: None }
    }

    fn fact(kind: u8, n: u8) -> Fact {
        match kind {
            0 => Fact::Created(Creation { at: at(i64::from(n)), digest: [n; 32] }, written(n)),
            1 => Fact::Deleted,
            _ => Fact::Updated(written(n)),
        }
    }

    /// The stored state of one user.
    #[derive(Debug, Clone, Default, PartialEq)]
    struct Row {
        state: State,
        created: Option<Creation>,
        written: Option<OpenedPersonal>,
    }

    impl Row {
        fn write(&mut self, user: User) {
            self.state = user.state;
            match user.change {
                Some(Change::Write { created, written }) => {
                    self.created = created.or(self.created.take());
                    self.written = Some(written);
                }
                Some(Change::Delete { .. }) => (self.created, self.written) = (None, None),
                None => {}
            }
        }
    }

    type Log = Vec<(u64, u8, u8)>;

    fn fold(log: &Log, batch: usize) -> (Row, Vec<Result<(), Rejection>>) {
        let (mut row, mut verdicts) = (Row::default(), Vec::new());
        for events in log.chunks(batch) {
            let mut user = User::new(row.state);
            for (sequence, kind, n) in events {
                verdicts.push(user.apply(*sequence, at(0), fact(*kind, *n)));
            }
            row.write(user);
        }
        (row, verdicts)
    }

    proptest! {
        #[test]
        fn however_the_log_is_cut_the_row_is_the_same(
            log in prop::collection::vec((1u64..6, 0u8..8, any::<u8>()), 0..40),
            batch in 1usize..40,
        ) {
            prop_assert_eq!(fold(&log, batch), fold(&log, 1));
        }

        #[test]
        fn a_replayed_record_has_no_effect(log in prop::collection::vec((1u64..6, 0u8..8, any::<u8>()), 1..40)) {
            let (row, verdicts) = fold(&log, 1);
            let accepted = log.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok()).map(|(event, _)| *event);
            let again: Log = log.iter().copied().chain(accepted).collect();
            prop_assert_eq!(fold(&again, 1).0, row);
        }
    }

    #[test]
    fn the_first_of_two_wins_and_deleted_is_for_ever() {
        let log = vec![(1, 0, 1), (2, 2, 2), (2, 2, 3), (3, 1, 0), (4, 2, 4), (1, 0, 5)];
        let (row, verdicts) = fold(&log, 10);
        assert_eq!(row.state, State::Deleted(3));
        let (superseded, deleted) = (Err(Rejection::Superseded), Err(Rejection::Deleted));
        assert_eq!(verdicts, [Ok(()), Ok(()), superseded, Ok(()), deleted, deleted]);
    }

    #[test]
    fn a_gap_is_poison() {
        let (row, verdicts) = fold(&vec![(1, 0, 1), (3, 2, 2)], 10);
        assert_eq!(row.state, State::Present(1));
        assert!(matches!(verdicts[1], Err(Rejection::Poison(_))));
        assert!(matches!(fold(&vec![(1, 2, 1)], 1).1[0], Err(Rejection::Poison(_))));
    }
}
