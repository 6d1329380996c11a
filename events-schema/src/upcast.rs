//! Converts any version of an event type to the current one: pure steps on the data, oldest first.

use crate::{EventType, Reason, ReasonCode};
use serde_json::Value;

/// The type that a `ce_type` names, with the data converted to the current version.
#[derive(Debug)]
pub(crate) enum Upcast {
    /// A type that this build knows.
    Known(EventType, Value),
    /// A name that this build does not know: skipped and counted.
    UnknownType,
}

/// Reads the type's name and version. A known name in a version that this build can't read is an
/// error: skipping it would lose an event about a user. `None`: a name that this build does not
/// know.
pub(crate) fn known(ce_type: &str) -> Result<Option<EventType>, Reason> {
    if let Some(known) = EventType::ALL.into_iter().find(|known| known.as_str() == ce_type) {
        return Ok(Some(known));
    }
    let name = |t: &str| t.rsplit_once('.').map(|(name, _version)| name.to_owned());
    let known_name = EventType::ALL.iter().any(|known| name(known.as_str()) == name(ce_type));
    if known_name { Err(ReasonCode::UnknownVersion.alone()) } else { Ok(None) }
}

/// The type, with the data converted to its current version.
pub(crate) fn upcast(ce_type: &str, data: Value) -> Result<Upcast, Reason> {
    Ok(known(ce_type)?.map_or(Upcast::UnknownType, |known| Upcast::Known(known, data)))
}
