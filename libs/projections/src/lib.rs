//! Projections beside the users: what an author writes, and where it is registered. The tutorial is
//! `docs/projections.md`.
//!
//! - [`Projection`]: the trait of a projection;
//! - [`Event`]: what it folds;
//! - [`Table`] and [`Tables`]: how it declares and reaches its own tables;
//! - [`registered`]: all projections of this build;
//! - [`statistics`]: an example.
//!
//! The framework that reads the log and keeps positions and generations is in the projector.

mod event;
#[cfg(feature = "failpoints")]
mod fragile;
mod projection;
mod registered;
pub mod statistics;
mod tables;

pub use event::{Event, Kind};
pub use projection::{Projection, Refusal};
pub use registered::{Changes, Registered, Unfolded, named, registered};
pub use tables::{Table, Tables};
