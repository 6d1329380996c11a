//! Sends analytic events to the log through a bounded queue that never blocks a request.

mod delivery_reports;
mod draft;
mod producer;
mod recorder;
mod stall_detector;
mod tally;

pub use draft::{Data, RequestContext};
pub use recorder::{Events, Recorder};
