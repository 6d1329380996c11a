//! Keyset cursors: unpadded base64url of `createdAt=<RFC 3339>&id=<uuid>`, naming the last item of a page.
// STUB: filled in by the lead.

use crate::problem::{Location, Problem};
use time::OffsetDateTime;
use uuid::Uuid;

/// The last item of the page before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its creation time; as exact as the cursor gave it.
    pub created_at: OffsetDateTime,
    /// Its id.
    pub id: Uuid,
}

impl Cursor {
    /// As it stands in `nextCursor`.
    pub fn encode(&self) -> String {
        unimplemented!()
    }

    /// Reads one; the problem has the documented detail for `param` `cursor` at `location`.
    ///
    /// # Errors
    /// 400: undecodable, or a part is missing.
    pub fn decode(_text: &str, _location: Location) -> Result<Self, Problem> {
        unimplemented!()
    }
}
