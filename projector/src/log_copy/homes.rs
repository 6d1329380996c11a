//! Where records belong in topics that got more partitions. A key had a home partition among the
//! original partitions, and may have another one among the present ones.

use events_schema::UserKey;

/// The partition counts of a topic: the original one, the present one, and that of the copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Homes {
    /// The number of partitions that the log was created with.
    pub(super) made_with: u32,
    /// The present number.
    pub(super) present: u32,
    /// The number of the copy.
    pub(super) copy: u32,
}

/// A record's place among its key's homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// The key's partition when the log was created. For most keys, it is also the present one.
    First,
    /// The key's partition since there are more partitions.
    Second,
    /// Neither, so the record was never folded. Or the record has no valid key.
    Nowhere,
}

impl Homes {
    /// Whether the records of a key may lie in two partitions.
    pub(super) fn has_two(&self, key: &UserKey) -> bool {
        key.partition(self.made_with) != key.partition(self.present)
    }

    /// In which home of its key a record lies.
    pub(super) fn home(&self, key: Option<&UserKey>, partition: i32) -> Home {
        let is_at = |count| key.is_some_and(|key| i64::from(key.partition(count)) == i64::from(partition));
        match (is_at(self.made_with), is_at(self.present)) {
            (true, _) => Home::First,
            (false, true) => Home::Second,
            (false, false) => Home::Nowhere,
        }
    }

    /// The partition of a record's copy: the home of its key. A record that lies in no home must
    /// not take effect in the copy, so it gets another partition.
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

    const HOMES: Homes = Homes { made_with: 4, present: 6, copy: 5 };

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
            assert_eq!(second, usize::from(HOMES.has_two(&key)), "{key}");
        }
    }

    #[test]
    fn what_has_no_key_keeps_its_neighbours() {
        assert_eq!((HOMES.home(None, 3), HOMES.destination(None, 3).unwrap()), (Home::Nowhere, 3));
        assert_eq!(HOMES.destination(None, 5).unwrap(), 0);
    }
}
