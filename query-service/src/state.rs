//! What every operation uses.

use crate::store::Reader;
use read_model::projection_position::ProjectionPosition;
use service_kit::operation::OperationContext;
use std::time::Duration;

/// What every operation uses. Each worker has its own.
pub(crate) struct State {
    pub(crate) context: OperationContext,
    pub(crate) reader: Reader,
    pub(crate) projection: ProjectionPosition,
    /// How long a read waits for the position in `Read-After`.
    pub(crate) wait_timeout: Duration,
}
