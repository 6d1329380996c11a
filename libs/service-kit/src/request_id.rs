//! `X-Request-Id`: taken when it is sane, else made; the same string in the answer, the events and the log.

use actix_web::{HttpMessage, HttpRequest};
use uuid::Uuid;

/// The header's name.
pub const HEADER: &str = "x-request-id";

/// A request's id: 1 to 128 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The given id if it is sane, else a new one.
    pub fn take_or_make(given: Option<&str>) -> Self {
        match given.filter(|id| is_sane(id)) {
            Some(id) => Self(id.to_owned()),
            None => Self(Uuid::now_v7().to_string()),
        }
    }

    /// The id of a request that passed the server's middleware.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| Self::take_or_make(None))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text from outside has the form of a request's id, and so may be printed as it is.
pub fn is_sane(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_id_is_replaced() {
        assert_eq!(RequestId::take_or_make(Some("a.b_C-9")).as_str(), "a.b_C-9");
        for strange in ["", "a b", "ä", "x\n", &"x".repeat(129)] {
            assert_ne!(RequestId::take_or_make(Some(strange)).as_str(), strange);
        }
    }
}
