//! What operators tell the projectors, by way of tables outside the generations: to pause, and what becomes of dead letters.

pub(crate) mod discarded;
pub(crate) mod letters;
pub(crate) mod pause;
pub(crate) mod requests;
pub(crate) mod settle;
mod unkept;
