//! Where a record of a log belongs whose topics got more partitions: a key had a home among those that there were, and has another one now.

use events_schema::UserKey;

/// The partition counts of a topic: when the log was made, as it is, and of the copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Homes {
    /// What the log was folded with.
    pub(super) folded: u32,
    /// What the topic has.
    pub(super) present: u32,
    /// What the copy has.
    pub(super) copy: u32,
}

/// A record's place among its key's homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Where the key belonged when the log was made; for most keys, where it belongs now as well.
    First,
    /// Where it belongs since there are more partitions.
    Second,
    /// Neither: no reader ever took it for a fact, or its key is none.
    Nowhere,
}

impl Homes {
    /// Whether a key's records may lie in two partitions.
    pub(super) fn are_two(&self, key: &UserKey) -> bool {
        key.partition(self.folded) != key.partition(self.present)
    }

    /// Where a record lies.
    pub(super) fn home(&self, key: Option<&UserKey>, partition: i32) -> Home {
        let is_at = |count| key.is_some_and(|key| i64::from(key.partition(count)) == i64::from(partition));
        match (is_at(self.folded), is_at(self.present)) {
            (true, _) => Home::First,
            (false, true) => Home::Second,
            (false, false) => Home::Nowhere,
        }
    }

    /// Where its copy goes: home; what was at home nowhere does not gain an effect by being copied.
    pub(super) fn destination(&self, key: Option<&UserKey>, partition: i32) -> anyhow::Result<i32> {
        let copy = i32::try_from(self.copy)?;
        let same = partition % copy;
        let Some(key) = key else { return Ok(same) };
        let home = i32::try_from(key.partition(self.copy))?;
        let is_lost = self.home(Some(key), partition) == Home::Nowhere;
        Ok(if !is_lost {
            home
        } else if same == home {
            (home + 1) % copy
        } else {
            same
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOMES: Homes = Homes { folded: 4, present: 6, copy: 5 };

    fn keys() -> impl Iterator<Item = UserKey> {
        (0..200_u128).map(|n| format!("t/{}", uuid::Uuid::from_u128(n)).parse().unwrap())
    }

    #[test]
    fn both_homes_lead_to_one_and_no_other_partition_does() {
        for key in keys() {
            let home = i32::try_from(key.partition(5)).unwrap();
            for partition in 0..6 {
                let was = HOMES.home(Some(&key), partition);
                let is_home = HOMES.destination(Some(&key), partition).unwrap() == home;
                assert_eq!(is_home, was != Home::Nowhere, "{key} in {partition}: {was:?}");
            }
        }
    }

    #[test]
    fn a_key_that_did_not_move_has_one_home() {
        for key in keys() {
            let second = (0..6).filter(|p| HOMES.home(Some(&key), *p) == Home::Second).count();
            assert_eq!(second, usize::from(HOMES.are_two(&key)), "{key}");
        }
    }

    #[test]
    fn what_has_no_key_keeps_its_neighbours() {
        assert_eq!((HOMES.home(None, 3), HOMES.destination(None, 3).unwrap()), (Home::Nowhere, 3));
        assert_eq!(HOMES.destination(None, 5).unwrap(), 0);
    }
}
