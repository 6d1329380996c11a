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

fn judged(key: &KeyWithOrigin, standing: Standing, is_known_elsewhere: bool, log: Log) -> Verdict {
    verdict(key, standing, is_known_elsewhere, &origin(7, "present"), NOW, log)
}

fn ours() -> KeyWithOrigin {
    key(Some(origin(7, "present")), 1)
}

#[test]
fn an_orphan_is_proved_in_every_respect() {
    let unheard = Standing::Unheard;
    assert_eq!(judged(&ours(), unheard, false, Log::Whole), Verdict::Orphan);
    let undecided = |key: &KeyWithOrigin, is_known, log| match judged(key, unheard, is_known, log) {
        Verdict::Undecided(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(undecided(&ours(), true, Log::Whole), UndecidedReason::KnownElsewhere);
    assert_eq!(undecided(&ours(), false, Log::Cut), UndecidedReason::LogCut);
    assert_eq!(undecided(&ours(), false, Log::NotLevel), UndecidedReason::NotLevel);
    assert_eq!(undecided(&key(Some(origin(7, "present")), 0), false, Log::Whole), UndecidedReason::Young);
    assert_eq!(undecided(&key(Some(origin(7, "former")), 1), false, Log::Whole), UndecidedReason::OtherLog);
    assert_eq!(
        undecided(&key(Some(origin(8, "present")), 1), false, Log::Whole),
        UndecidedReason::OtherDeployment
    );
    assert_eq!(undecided(&key(None, 1), false, Log::Whole), UndecidedReason::UnknownOrigin);
}

#[test]
fn the_key_of_a_deleted_user_goes_only_where_it_was_made_for_the_same_log() {
    let deleted = Standing::Deleted;
    assert_eq!(judged(&ours(), deleted, true, Log::NotLevel), Verdict::Outlived);
    for other in [None, Some(origin(7, "former")), Some(origin(8, "present"))] {
        let verdict = judged(&key(other, 1), deleted, false, Log::Whole);
        assert_eq!(verdict, Verdict::Undecided(UndecidedReason::DeletedHere));
    }
}

#[test]
fn a_key_that_is_needed_stays_whatever_it_was_made_for() {
    let (own, another) = (Standing::Needed { is_own: true }, Standing::Needed { is_own: false });
    for origin in [Some(origin(7, "present")), Some(origin(8, "former"))] {
        let verdict = judged(&key(origin, 1), own, false, Log::Whole);
        assert_eq!(verdict, Verdict::Needed { is_ours: false });
    }
    assert_eq!(judged(&key(None, 1), own, false, Log::Whole), Verdict::Needed { is_ours: true });
    assert_eq!(judged(&key(None, 1), another, false, Log::Whole), Verdict::Needed { is_ours: false });
}
