//! Proofs, audits and exports on real servers.

mod bench;
mod export;
mod left;
mod level_3;
mod prove;
mod unclear;

pub use export::{an_export_goes_into_a_new_file, everything_stored_is_exported};
pub use left::everything_left_is_found;
pub use level_3::level_3_leaves_personal_data;
pub use prove::a_user_is_proved_before_and_after_each_change;
pub use unclear::an_operator_deals_with_unreadable_records;
