//! Strict JSON: what the API accepts as JSON. A refusal names the place, never the value.

mod encoding;
mod limits;
mod number;
mod parse;

pub use encoding::is_utf16;
pub use limits::{MAX_BODY_LEVELS, check_claims_limits};
pub use parse::parse;

use crate::problem::{Location, Problem};

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The path to the place (`claims.address[2].street`). Empty: the text as a whole.
    pub path: String,
    /// What is wrong, in fixed words.
    pub msg: &'static str,
}

impl From<Refusal> for Problem {
    /// 400 about a place in the body. The value is not repeated: it may be personal data.
    fn from(refusal: Refusal) -> Self {
        let param = if refusal.path.is_empty() { "body".to_owned() } else { refusal.path };
        Self::invalid(None, refusal.msg, param, Location::Body)
    }
}

/// The current place in a text, maintained while descending.
struct Path(String);

impl Path {
    /// Descends to a key, truncated if it is absurdly long. Pass the result to `leave`.
    fn enter_key(&mut self, key: &str) -> usize {
        let before = self.0.len();
        if before > 0 {
            self.0.push('.');
        }
        self.0.extend(key.chars().take(256));
        before
    }

    /// Descends to an array item.
    fn enter_index(&mut self, index: usize) -> usize {
        let before = self.0.len();
        self.0.push_str(&format!("[{index}]"));
        before
    }

    /// Returns to where the step began.
    fn leave(&mut self, before: usize) {
        self.0.truncate(before);
    }

    fn refuse(&self, msg: &'static str) -> Refusal {
        Refusal { path: self.0.clone(), msg }
    }
}
