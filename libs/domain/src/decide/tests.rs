use super::*;
use crate::precondition::Tags;
use events_schema::{
    Timestamp,
    personal::{AuthenticationProvider, Claims},
};
use proptest::prelude::*;

/// The current state of the user.
struct Given(User);

/// The outcome.
struct Decided(Result<Decision, Refusal>);

impl Given {
    fn when(&self, command: &Command) -> Decided {
        Decided(decide(command, &self.0, None))
    }

    fn when_if_match(&self, command: &Command, tags: &str) -> Decided {
        Decided(decide(command, &self.0, Some(&if_match(tags))))
    }
}

impl Decided {
    #[track_caller]
    fn then(self, sequence: u64, event: NewEvent) {
        assert_eq!(self.0, Ok(Decision { sequence, event }));
    }

    #[track_caller]
    fn then_refused(self, refusal: Refusal) {
        assert_eq!(self.0, Err(refusal));
    }
}

fn if_match(tags: &str) -> Precondition {
    Precondition { if_match: Some(Tags::parse(tags).unwrap()), if_none_match: None }
}

fn given(user: User) -> Given {
    Given(user)
}

fn present(version: u64, subject: Option<&str>) -> User {
    User::Present { version, link: subject.map(link) }
}

fn link(subject: &str) -> AuthenticationProvider {
    AuthenticationProvider { provider_id: None, url: None, subject_id: subject.to_owned() }
}

fn claims(name: &str) -> Claims {
    [("name".to_owned(), name.into())].into_iter().collect()
}

fn personal(name: &str, subject: Option<&str>) -> Personal {
    Personal { claims: claims(name), authentication_provider: subject.map(link) }
}

fn at() -> Timestamp {
    "2020-08-25T06:46:09.510Z".parse().unwrap()
}

fn create() -> Command {
    Command::Create { created_at: at(), personal: personal("a", Some("s")) }
}

fn update(subject: Option<&str>) -> Command {
    Command::Update { claims: claims("b"), link: subject.map(link) }
}

#[test]
fn a_create_makes_version_one() {
    given(User::Unknown).when(&create()).then(1, NewEvent::Created(at(), personal("a", Some("s"))));
}

#[test]
fn a_create_of_what_is_or_was_there_is_refused() {
    given(present(3, None)).when(&create()).then_refused(Refusal::Exists);
    given(User::Deleted).when(&create()).then_refused(Refusal::Deleted);
}

#[test]
fn an_update_keeps_the_link_unless_it_brings_one() {
    given(present(4, Some("s"))).when(&update(None)).then(5, NewEvent::Updated(personal("b", Some("s"))));
    given(present(4, Some("s")))
        .when(&update(Some("t")))
        .then(5, NewEvent::Updated(personal("b", Some("t"))));
    given(present(4, None)).when(&update(None)).then(5, NewEvent::Updated(personal("b", None)));
}

#[test]
fn a_delete_is_one_more_version() {
    given(present(9, Some("s"))).when(&Command::Delete).then(10, NewEvent::Deleted);
}

#[test]
fn nothing_can_be_done_to_a_user_that_is_not_there() {
    for gone in [User::Unknown, User::Deleted] {
        for command in [update(None), Command::Delete] {
            given(gone.clone()).when(&command).then_refused(Refusal::NotFound);
            given(gone.clone()).when_if_match(&command, "\"1\"").then_refused(Refusal::NotFound);
            given(gone.clone()).when_if_match(&command, "*").then_refused(Refusal::NotFound);
        }
    }
}

#[test]
fn a_parked_user_waits_for_the_operator() {
    for command in [create(), update(None), Command::Delete] {
        given(User::Parked).when(&command).then_refused(Refusal::Parked);
    }
}

#[test]
fn another_version_than_the_client_thinks_is_refused() {
    for command in [update(None), Command::Delete] {
        given(present(2, None)).when_if_match(&command, "\"1\"").then_refused(Refusal::PreconditionFailed);
        given(present(2, None)).when_if_match(&command, "W/\"2\"").then_refused(Refusal::PreconditionFailed);
    }
    given(present(2, None)).when_if_match(&Command::Delete, "\"1\", \"2\"").then(3, NewEvent::Deleted);
    given(present(2, None)).when_if_match(&Command::Delete, "*").then(3, NewEvent::Deleted);
}

proptest! {
    #[test]
    fn whatever_is_appended_is_the_next_version(version in 1..1_000_u64, which in 0..3_usize, linked: bool) {
        let command = [create(), update(linked.then_some("t")), Command::Delete][which].clone();
        for user in [User::Unknown, User::Deleted, User::Parked, present(version, None)] {
            let before = if matches!(user, User::Present { .. }) { version } else { 0 };
            if let Ok(decision) = decide(&command, &user, None) {
                prop_assert_eq!(decision.sequence, before + 1);
            }
        }
    }
}
