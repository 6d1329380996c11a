//! From where a session reads, and since when its events may be in the topic already. Pure.
//!
//! A broker may end a transaction without ending it in all partitions: then its offsets are
//! committed and its events are not, or the other way round. That can happen only to the last
//! transaction of a transactional id, because the next one begins after it. Therefore the records
//! of each id's last transaction are read again, and events that are in the topic since then are
//! not written again.

use super::offset_note::OffsetNote;
use std::collections::BTreeMap;

/// What the group has committed for a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committed {
    pub(super) partition: i32,
    /// The committed offset, if there is one, and the note beside it.
    pub(super) next: Option<(i64, Option<OffsetNote>)>,
    /// The end of the partition.
    pub(super) end: i64,
}

/// How a session starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StartPlan {
    /// The offset to read each partition from. `None`: from its beginning.
    pub(super) offsets: Vec<(i32, Option<i64>)>,
    /// Since when events that are derived again may be in the topic, in milliseconds since 1970.
    /// `None`: there are none.
    pub(super) since: Option<i64>,
}

/// Records from which others may have derived events before this assignment.
#[derive(Default)]
pub(super) struct PossibleDuplicates {
    /// The first offset of each partition behind those records.
    pub(super) until: BTreeMap<i32, i64>,
    /// Since when their events may have been written, in milliseconds since 1970.
    pub(super) since: i64,
}

/// Plans a start. `unnoted` is the time to assume for an offset without a note.
pub(super) fn start_plan(all: &[Committed], unnoted: i64) -> StartPlan {
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for note in all.iter().filter_map(Committed::note) {
        let at = last.entry(note.by).or_insert(note.at);
        *at = note.at.max(*at);
    }
    let is_last = |note: &OffsetNote| last.get(&note.by) == Some(&note.at);
    let from = |committed: &Committed| {
        let (next, note) = committed.next?;
        Some(note.filter(is_last).map_or(next, |note| note.from.min(next)))
    };
    let since = |committed: &Committed| match committed.next {
        // Nothing was derived from an empty partition.
        None => (committed.end > 0).then_some(0),
        Some((_, None)) => Some(unnoted),
        Some((_, Some(note))) => (note.is_open || is_last(&note)).then_some(note.since),
    };
    StartPlan {
        offsets: all.iter().map(|committed| (committed.partition, from(committed))).collect(),
        since: all.iter().filter_map(since).min(),
    }
}

impl Committed {
    fn note(&self) -> Option<OffsetNote> {
        self.next?.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(partition: i32, next: i64, from: i64, at: i64, by: i32) -> Committed {
        let note = OffsetNote { from, at, since: at, is_open: false, by };
        Committed { partition, next: Some((next, Some(note))), end: 100 }
    }

    fn open(committed: Committed, since: i64) -> Committed {
        let next = committed
            .next
            .map(|(next, note)| (next, note.map(|note| OffsetNote { since, is_open: true, ..note })));
        Committed { next, ..committed }
    }

    fn without(partition: i32, next: Option<i64>, end: i64) -> Committed {
        Committed { partition, next: next.map(|next| (next, None)), end }
    }

    #[track_caller]
    fn expect(all: &[Committed], offsets: &[(i32, Option<i64>)], since: Option<i64>) {
        assert_eq!(start_plan(all, 450), StartPlan { offsets: offsets.to_vec(), since });
    }

    #[test]
    fn the_last_transaction_is_read_again_and_no_earlier_one() {
        let all = [noted(0, 10, 7, 500, 0), noted(1, 20, 15, 400, 0)];
        expect(&all, &[(0, Some(7)), (1, Some(20))], Some(500));
    }

    #[test]
    fn each_id_has_a_last_one() {
        let all = [noted(0, 10, 7, 500, 0), noted(2, 20, 15, 400, 2)];
        expect(&all, &[(0, Some(7)), (2, Some(15))], Some(400));
    }

    #[test]
    fn what_was_derived_before_is_looked_for_until_it_is_passed() {
        let all = [noted(0, 10, 7, 500, 0), open(noted(1, 20, 15, 400, 0), 300)];
        expect(&all, &[(0, Some(7)), (1, Some(20))], Some(300));
    }

    #[test]
    fn without_a_note_the_caller_says_since_when() {
        let all = [noted(0, 10, 7, 500, 0), without(1, Some(20), 100)];
        expect(&all, &[(0, Some(7)), (1, Some(20))], Some(450));
    }

    #[test]
    fn without_an_offset_everything_is_looked_at_if_there_is_anything() {
        expect(&[without(1, None, 0)], &[(1, None)], None);
        expect(&[noted(0, 10, 7, 500, 0), without(1, None, 9)], &[(0, Some(7)), (1, None)], Some(0));
    }
}
