//! Proofs, audits and exports on real servers.

mod bench;
mod export;
mod left;
mod level_3;
mod prove;
mod unclear;

pub use export::{all_that_is_kept_is_exported, an_export_goes_into_a_new_file};
pub use left::whatever_is_left_is_found;
pub use level_3::what_level_3_says_is_left;
pub use prove::a_life_is_proved_at_each_of_its_ends;
pub use unclear::what_cannot_be_read_is_dealt_with_by_an_operator;
