//! `X-Request-Id`: the client's if it is well-formed, else a new one. The same string is in the
//! response, the events and the log.

use actix_web::{HttpMessage, HttpRequest};
use uuid::Uuid;

/// The header's name.
pub const HEADER: &str = "x-request-id";

/// A request's id: 1 to 128 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The given id if it is well-formed, else a new one.
    pub fn from_given_or_new(given: Option<&str>) -> Self {
        match given.filter(|id| is_well_formed(id)) {
            Some(id) => Self(id.to_owned()),
            None => Self(Uuid::now_v7().to_string()),
        }
    }

    /// The id of a request that passed the server's middleware.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| Self::from_given_or_new(None))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text from outside is a well-formed request id, and so may be logged unchanged.
pub fn is_well_formed(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_id_is_replaced() {
        assert_eq!(RequestId::from_given_or_new(Some("a.b_C-9")).as_str(), "a.b_C-9");
        for strange in ["", "a b", "ä", "x\n", &"x".repeat(129)] {
            assert_ne!(RequestId::from_given_or_new(Some(strange)).as_str(), strange);
        }
    }
}
