//! A chaos run: a load with recorded answers, on a deployment whose parts die again and again. Then
//! the answers are checked against the final state.

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
