//! What has to be folded when partitions are taken over, and what is announced to readers about it.

use event_log::log_ends::Ends;
use events_schema::{Partition, Topic};
use read_model::{
    announcement::{self, ConfirmedPartition},
    projection_position::{CatchingUp, Tail},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What had to be folded at the last takeover. `None` before the first one. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct CatchUp(Arc<Mutex<Option<BTreeMap<Partition, Ends>>>>);

impl CatchUp {
    /// Records a takeover: the ends of the partitions, and the offsets to fold from.
    pub(crate) fn begin(&self, ends: &BTreeMap<Partition, Ends>, offsets: &BTreeMap<Partition, i64>) {
        let tail = |(partition, from): (&Partition, &i64)| {
            let high = ends.get(partition).map_or(*from, |ends| ends.high);
            (*partition, Ends { low: *from, high })
        };
        *self.tails() = Some(offsets.iter().filter(|(partition, _)| is_gated(partition)).map(tail).collect());
    }

    /// What is missing until those records are folded. `folded` has the next offset of each
    /// partition that is still owned.
    pub(crate) fn missing(&self, folded: &BTreeMap<Partition, i64>) -> Option<String> {
        let Some(tails) = &*self.tails() else { return Some("joining the group of projectors".to_owned()) };
        let tail = |(partition, ends): (&Partition, &Ends)| {
            Some(Tail { from: ends.low, to: ends.high, next: *folded.get(partition)? })
        };
        let tails: Vec<Tail> = tails.iter().filter_map(tail).collect();
        CatchingUp::of(&tails, 0).map(|missing| missing.to_string())
    }

    fn tails(&self) -> MutexGuard<'_, Option<BTreeMap<Partition, Ends>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether reads wait until the partition is folded.
fn is_gated((topic, _): &Partition) -> bool {
    *topic == Topic::Users
}

/// The announcements of the offsets and ends of partitions. A partition whose end is unknown is
/// left out.
pub(crate) fn announcements(
    generation: i32,
    owned: &BTreeMap<Partition, i64>,
    ends: &BTreeMap<Partition, i64>,
) -> Vec<String> {
    let confirmed = |(partition, next): (&Partition, &i64)| {
        let end = if is_gated(partition) { *ends.get(partition)? } else { *next };
        let (topic, partition) = (partition.0.as_str().to_owned(), partition.1);
        Some(ConfirmedPartition { topic, partition, next: *next, end })
    };
    let all: Vec<ConfirmedPartition> = owned.iter().filter_map(confirmed).collect();
    announcement::partitions_confirmed(generation, &all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: Partition = (Topic::Users, 3);

    #[test]
    fn a_projector_is_ready_once_it_has_caught_up() {
        let catch_up = CatchUp::default();
        assert!(catch_up.missing(&BTreeMap::new()).is_some(), "nothing is assigned yet");
        catch_up.begin(&BTreeMap::from([(USERS, Ends { low: 0, high: 9 })]), &BTreeMap::from([(USERS, 4)]));
        let missing = catch_up.missing(&BTreeMap::from([(USERS, 7)]));
        assert_eq!(missing.as_deref(), Some("catching up with the log: 3 of 5 records are folded"));
        assert_eq!(catch_up.missing(&BTreeMap::from([(USERS, 9)])), None);
        assert_eq!(catch_up.missing(&BTreeMap::new()), None, "another instance owns it now");
    }

    #[test]
    fn an_announcement_fits_into_a_notification() {
        let owned: BTreeMap<_, _> = (0..250).map(|partition| ((Topic::Users, partition), i64::MAX)).collect();
        let all = announcements(i32::MAX, &owned, &owned);
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|payload| payload.len() < 8_000));
        let one = announcements(2, &BTreeMap::from([(USERS, 7)]), &BTreeMap::from([(USERS, 9)]));
        assert_eq!(one, [r#"{"g":2,"standings":[["users",3,7,9]]}"#]);
        assert!(announcements(2, &BTreeMap::from([(USERS, 7)]), &BTreeMap::new()).is_empty());
    }
}
