//! The versions of the event types. Each has pure steps to the form that this build folds: one for
//! the data, and one for the personal data once it is opened.

#[cfg(feature = "failpoints")]
mod test_version;

use crate::{EventType, Reason, ReasonCode, personal::Personal};
use serde_json::Value;

/// A version of an event type: what a `ce_type` names.
struct Version {
    ce_type: &'static str,
    event_type: EventType,
    /// Converts the data. `None`: it is not data of this version.
    data: fn(Value) -> Option<Value>,
    /// Reads opened personal data. `None`: it is not that of this version.
    personal: fn(&[u8]) -> Option<Personal>,
}

impl Version {
    /// The version that is written. Its data is folded as it is.
    const fn current(event_type: EventType) -> Self {
        Self { ce_type: event_type.as_str(), event_type, data: Some, personal: Personal::of_plaintext }
    }
}

/// Every version that was ever written, and what a test build adds.
const VERSIONS: &[Version] = &[
    Version::current(EventType::UserCreated),
    Version::current(EventType::UserUpdated),
    Version::current(EventType::UserDeleted),
    Version::current(EventType::CredentialIssued),
    Version::current(EventType::CredentialStatusChanged),
    #[cfg(feature = "failpoints")]
    test_version::USER_UPDATED_2,
];

/// A type and version that this build knows, and the data in the form that it folds.
#[derive(Debug)]
pub(crate) struct Upcast {
    pub(crate) event_type: EventType,
    /// The version as it was written. Sealed data is bound to it.
    pub(crate) ce_type: &'static str,
    pub(crate) data: Value,
}

fn version(ce_type: &str) -> Option<&'static Version> {
    VERSIONS.iter().find(|version| version.ce_type == ce_type)
}

/// Reads the type's name and version. A known name in a version that this build can't read is an
/// error: skipping it would lose an event about a user. `None`: a name that this build does not
/// know.
pub(crate) fn known(ce_type: &str) -> Result<Option<EventType>, Reason> {
    if let Some(version) = version(ce_type) {
        return Ok(Some(version.event_type));
    }
    let name = |t: &str| t.rsplit_once('.').map(|(name, _version)| name.to_owned());
    let known_name = EventType::ALL.iter().any(|known| name(known.as_str()) == name(ce_type));
    if known_name { Err(ReasonCode::UnknownVersion.alone()) } else { Ok(None) }
}

/// The type, with the data in the form that this build folds. `None`: a name that this build does
/// not know.
pub(crate) fn upcast(ce_type: &str, data: Value) -> Result<Option<Upcast>, Reason> {
    let Some(event_type) = known(ce_type)? else { return Ok(None) };
    let Some(version) = version(ce_type) else { return Ok(None) };
    let data =
        (version.data)(data).ok_or(ReasonCode::BadData.with("Not the shape that the version asks for"))?;
    Ok(Some(Upcast { event_type, ce_type: version.ce_type, data }))
}

/// The data of an event in the form that this build folds. `None` if this build does not know the
/// version, or the data is not of it.
#[must_use]
pub fn current_data(ce_type: &str, data: Value) -> Option<Value> {
    upcast(ce_type, data).ok().flatten().map(|upcast| upcast.data)
}

/// Reads the opened personal data of an event. `None` if it is not that of this version.
#[must_use]
pub fn read_personal(ce_type: &str, plaintext: &[u8]) -> Option<Personal> {
    (version(ce_type)?.personal)(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_written_version() {
        for event_type in EventType::ALL {
            assert_eq!(known(event_type.as_str()), Ok(Some(event_type)));
        }
    }

    #[test]
    fn an_unknown_version_is_no_unknown_type() {
        assert_eq!(known("user.updated.v77"), Err(ReasonCode::UnknownVersion.alone()));
        assert_eq!(known("user.renamed.v1"), Ok(None));
        #[cfg(not(feature = "failpoints"))]
        assert_eq!(known("user.updated.v2"), Err(ReasonCode::UnknownVersion.alone()));
    }
}
