//! A delete erases the user, whatever fails meanwhile and whatever backup is restored.

mod brought_back;
mod crashes;
mod markers;
mod missing_key;
mod traces;
mod while_rebuilding;

pub use brought_back::a_restored_key_brings_nobody_back;
pub use crashes::a_delete_is_complete_wherever_the_projector_dies;
pub use markers::a_marker_is_found_nowhere_after_a_delete;
pub use missing_key::a_missing_key_is_reported;
pub use traces::no_deleted_data_can_be_read_in_postgres;
pub use while_rebuilding::a_delete_reaches_a_generation_that_is_being_built;
