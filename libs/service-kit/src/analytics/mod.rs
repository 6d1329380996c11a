//! The way of analytic events to the log: a bounded queue that never makes a request wait.

mod draft;
mod ends;
mod producer;
mod recorder;
mod stuck;
mod tally;

pub use draft::{Context, Data};
pub use recorder::{Events, Recorder};
