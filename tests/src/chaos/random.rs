//! Repeatable random numbers: splitmix64.

use std::time::Duration;

/// A sequence of numbers that follows from its seed.
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A duration between two, in milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }

    /// A random item.
    ///
    /// # Panics
    /// There is no item.
    pub fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        let all = u64::try_from(things.len()).expect("a length fits");
        things[usize::try_from(self.below(all)).expect("an index fits")]
    }

    /// A random item, weighted.
    ///
    /// # Panics
    /// There is no item, or all weights are 0.
    pub fn weighed<T: Copy>(&mut self, things: &[(u64, T)]) -> T {
        let mut rest = self.below(things.iter().map(|(weight, _)| weight).sum());
        let chosen = things.iter().find(|(weight, _)| match rest.checked_sub(*weight) {
            Some(left) => {
                rest = left;
                false
            }
            None => true,
        });
        chosen.expect("the weights add up").1
    }

    /// Shuffles items.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            let bound = u64::try_from(last).expect("an index fits") + 1;
            things.swap(last, usize::try_from(self.below(bound)).expect("an index fits"));
        }
    }
}
