//! Statements of the operator's verbs: logs, cuts and requests about dead letters.

pub mod checkpoints;
pub mod cuts;
pub mod logs;
pub mod requests;
pub mod retired_bodies;
pub mod set_aside;
