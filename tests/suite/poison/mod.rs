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
pub use kinds::every_kind_of_poison_parks_its_user_alone;
pub use limit::{an_operator_pauses_and_resumes, too_many_parked_stop_the_projectors};
pub use owners::{
    a_delete_takes_every_dead_letter_of_its_user_along,
    what_lies_elsewhere_is_not_kept_beside_a_deletion_under_way,
};
pub use queue::a_fixed_build_folds_what_waits_in_its_order;
pub use several::many_are_discarded_at_once;
pub use upgrade::reasons_that_were_texts_become_codes;
