//! Valid and stale reads.

use super::*;
use crate::chaos::{
    check::sample::{USER, at, operation, refused, shows, wrong, wrote},
    history::{Kind, Operation, Reply},
};

/// The findings after this is added to the history.
fn with(operation: Operation) -> Vec<String> {
    wrong(check, |operations, _| operations.push(operation))
}

fn get(times: (u64, u64), reply: Reply) -> Operation {
    operation("g", Kind::Get, None, times, reply)
}

fn nothing() -> Reply {
    refused(404, "not there")
}

#[test]
fn nothing_is_wrong_with_a_sound_life() {
    assert!(wrong(check, |_, _| ()).is_empty());
}

#[test]
fn a_read_shows_what_was_answered_before_it() {
    assert_eq!(with(get((5, 6), shows(200, 1, 1))).len(), 1);
    // It was sent before the second version was answered.
    assert!(with(get((3, 6), shows(200, 1, 1))).is_empty());
    assert_eq!(with(get((5, 6), shows(304, 1, 1))).len(), 1);
    assert_eq!(with(get((5, 6), nothing())).len(), 1);
    assert!(with(get((1, 3), nothing())).is_empty(), "it may not exist yet");
}

#[test]
fn two_reads_never_run_backwards() {
    // The third version was never answered to its writer, but a client has read it.
    let pair = |first: u64, second: u64| {
        wrong(check, |operations, _| {
            operations.push(get((10, 11), shows(200, first, if first == 3 { 5 } else { 2 })));
            operations.push(get((12, 13), shows(200, second, if second == 3 { 5 } else { 2 })));
        })
    };
    assert!(pair(2, 3).is_empty() && pair(3, 3).is_empty() && pair(2, 2).is_empty());
    assert_eq!(pair(3, 2).len(), 1);
}

#[test]
fn what_is_gone_is_gone() {
    assert_eq!(with(get((24, 25), shows(200, 3, 5))).len(), 1);
    assert!(with(get((20, 25), shows(200, 3, 5))).is_empty(), "the delete was under way");
    assert_eq!(with(get((12, 13), nothing())).len(), 1, "it was not deleted yet");
    let seen_gone = wrong(check, |operations, _| {
        operations[5].reply = None;
        operations[5].answered = at(40);
        operations.push(get((24, 25), shows(200, 3, 5)));
    });
    assert_eq!(seen_gone.len(), 1, "another read had shown it");
}

#[test]
fn read_after_shows_its_position() {
    let after =
        |offset: i64| with(Operation { read_after: Some((0, offset)), ..get((3, 4), shows(200, 1, 1)) });
    assert!(after(0).is_empty());
    assert_eq!(after(2).len(), 1);
}

#[test]
fn a_body_is_that_of_its_tag_and_of_the_log() {
    assert_eq!(with(get((5, 6), shows(200, 2, 1))).len(), 1);
    assert_eq!(with(get((5, 6), shows(200, 2, 77))).len(), 2);
}

#[test]
fn a_search_finds_the_user_as_it_is() {
    let search = |times, shown: Vec<(String, u64)>| {
        let reply = Reply { status: 200, shown, is_last: true, ..Reply::default() };
        with(operation("s", Kind::Search, Some(1), times, reply)).len()
    };
    let user = |n| vec![(USER.to_owned(), n)];
    assert_eq!((search((5, 6), user(2)), search((5, 6), user(1)), search((5, 6), Vec::new())), (0, 1, 1));
    assert_eq!((search((24, 25), Vec::new()), search((24, 25), user(5))), (0, 1));
}

#[test]
fn a_list_has_everybody_whose_place_is_on_the_page() {
    let list = |after: Option<&str>, is_last, shown: Vec<(String, u64)>| {
        let reply = Reply { status: 200, shown, is_last, ..Reply::default() };
        let list = operation("l", Kind::List, None, (5, 6), reply);
        with(Operation { user: None, after: after.map(str::to_owned), ..list }).len()
    };
    let user = |n| vec![(USER.to_owned(), n)];
    assert_eq!(
        (list(None, true, user(2)), list(None, true, user(1)), list(None, true, Vec::new())),
        (0, 1, 1)
    );
    assert_eq!(list(Some(USER), true, Vec::new()), 0, "it came on the page before");
}

#[test]
fn a_writes_own_answer_binds_too() {
    let again = operation("w", Kind::Update, Some(9), (5, 6), wrote(200, 2, 9, 9));
    // A version equal to the known one is fine here. Another check finds that two writes have the
    // same version.
    assert!(with(again).is_empty());
    let low = operation("w", Kind::Update, Some(9), (5, 6), wrote(200, 1, 9, 9));
    assert_eq!(with(low).len(), 1);
}
