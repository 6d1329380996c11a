//! Sends analytic events to the log through a bounded queue that never blocks a request.

mod delivery_reports;
mod draft;
mod producer;
mod recorder;
mod stuck;
mod tally;

pub use draft::{Context, Data};
pub use recorder::{Events, Recorder};
