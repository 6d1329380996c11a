//! Projections beside the users: what they count, their verbs, their isolation, and erasure.

mod bench;
mod counts;
mod erasure;
mod isolation;
mod verbs;

pub use counts::{
    a_killed_projector_counts_nothing_twice, a_reprocessed_event_is_counted,
    statistics_count_what_the_log_says,
};
pub use erasure::{a_deletion_erases_in_every_generation, what_is_left_in_a_personal_table_is_found};
pub use isolation::{a_broken_projection_holds_nobody_back, a_paused_projection_stands_still_alone};
pub use verbs::{
    a_comparison_of_a_projection_names_columns, a_killed_rebuild_of_a_projection_is_resumed,
    a_projection_is_asked_by_its_name, a_projection_of_a_recreated_log_is_rebuilt,
    a_projection_of_another_fold_is_replaced, a_rebuild_of_a_projection_under_load,
};
