use super::*;
use key_store::{Owner, StoredKey};
use uuid::Uuid;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn origin(deployment: u128, log: &str) -> Origin {
    Origin { deployment: Uuid::from_u128(deployment), log: log.to_owned() }
}

fn key(origin: Option<Origin>, age: i64) -> KeyWithOrigin {
    let owner = Owner { tenant: "t".parse().unwrap(), id: Uuid::from_u128(1) };
    let asked_at = NOW - time::Duration::seconds(age);
    KeyWithOrigin { held: StoredKey { owner, id: Uuid::from_u128(2), asked_at }, origin }
}

fn status(key: &KeyWithOrigin, owner: OwnerStatus, is_known_elsewhere: bool, log: LogState) -> KeyStatus {
    classify(key, owner, is_known_elsewhere, &origin(7, "present"), NOW, log)
}

fn ours() -> KeyWithOrigin {
    key(Some(origin(7, "present")), 1)
}

#[test]
fn an_orphan_needs_every_part_of_the_proof() {
    let unknown = OwnerStatus::Unknown;
    assert_eq!(status(&ours(), unknown, false, LogState::Complete), KeyStatus::Orphan);
    let undecided = |key: &KeyWithOrigin, is_known, log| match status(key, unknown, is_known, log) {
        KeyStatus::Undecided(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(undecided(&ours(), true, LogState::Complete), UndecidedReason::KnownElsewhere);
    assert_eq!(undecided(&ours(), false, LogState::Cut), UndecidedReason::LogCut);
    assert_eq!(undecided(&ours(), false, LogState::NotLevel), UndecidedReason::NotLevel);
    assert_eq!(
        undecided(&key(Some(origin(7, "present")), 0), false, LogState::Complete),
        UndecidedReason::Young
    );
    assert_eq!(
        undecided(&key(Some(origin(7, "former")), 1), false, LogState::Complete),
        UndecidedReason::OtherLog
    );
    assert_eq!(
        undecided(&key(Some(origin(8, "present")), 1), false, LogState::Complete),
        UndecidedReason::OtherDeployment
    );
    assert_eq!(undecided(&key(None, 1), false, LogState::Complete), UndecidedReason::UnknownOrigin);
}

#[test]
fn the_key_of_a_deleted_user_is_destroyed_only_if_it_was_made_for_the_same_log() {
    let deleted = OwnerStatus::Deleted;
    assert_eq!(status(&ours(), deleted, true, LogState::NotLevel), KeyStatus::Outlived);
    for other in [None, Some(origin(7, "former")), Some(origin(8, "present"))] {
        let found = status(&key(other, 1), deleted, false, LogState::Complete);
        assert_eq!(found, KeyStatus::Undecided(UndecidedReason::DeletedHere));
    }
}

#[test]
fn a_needed_key_stays_whatever_its_origin() {
    let (own, another) =
        (OwnerStatus::Needed { is_current_key: true }, OwnerStatus::Needed { is_current_key: false });
    for origin in [Some(origin(7, "present")), Some(origin(8, "former"))] {
        let found = status(&key(origin, 1), own, false, LogState::Complete);
        assert_eq!(found, KeyStatus::Needed { is_origin_found: false });
    }
    assert_eq!(
        status(&key(None, 1), own, false, LogState::Complete),
        KeyStatus::Needed { is_origin_found: true }
    );
    assert_eq!(
        status(&key(None, 1), another, false, LogState::Complete),
        KeyStatus::Needed { is_origin_found: false }
    );
}
