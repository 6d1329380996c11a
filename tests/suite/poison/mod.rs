//! Records that can't be folded park only their user. An operator resolves them while the projector
//! runs, and too many of them pause the projectors.

mod bench;
mod credentials;
mod kinds;
mod limit;
mod owners;
mod queue;
mod several;
mod upgrade;

pub use credentials::poison_about_credentials_harms_nobody;
pub use kinds::every_kind_of_poison_parks_only_its_user;
pub use limit::{an_operator_pauses_and_resumes, too_many_parked_users_pause_the_projectors};
pub use owners::{
    a_delete_removes_every_dead_letter_of_its_user, stray_records_are_not_kept_during_a_delete,
};
pub use queue::a_fixed_build_folds_the_queue_in_order;
pub use several::many_are_discarded_at_once;
pub use upgrade::reasons_stored_as_text_become_codes;
