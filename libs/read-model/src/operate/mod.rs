//! Statements of the operator's verbs: logs, cuts, requests of operators, erasures, exports and
//! sweeps.

pub mod checkpoints;
pub mod cuts;
pub mod dead_letter_counts;
pub mod dead_letters;
pub mod deleted_users;
pub mod discarded;
pub mod export;
pub mod generations;
pub mod key_owners;
pub mod logs;
pub mod pause;
pub mod repairs;
pub mod requests;
pub mod retired_bodies;
pub mod set_aside;
pub mod user_traces;
pub mod vacuum;
