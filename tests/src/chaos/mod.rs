//! A run under faults: a load, whose every answer is recorded, on a deployment whose every part dies again and again; and then the
//! check of what was answered against what is there.

pub mod check;
mod faults;
pub mod history;
pub mod load;
pub mod plan;
mod probe;
pub mod random;
mod recovery;
mod report;
mod run;
pub mod windows;

pub use check::{Evidence, Verdict};
pub use load::{Load, Targets};
pub use recovery::Recovery;
pub use report::Report;
pub use run::{Options, run};
