//! Strict JSON: what the API takes as JSON, and what it refuses, naming the place and never the value.

mod encoding;
mod limits;
mod number;
mod parse;

pub use encoding::is_utf16;
pub use limits::check_claims_limits;
pub use parse::parse;

use crate::problem::{Location, Problem};

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The place by its keys (`claims.address[2].street`); empty: the text as a whole.
    pub path: String,
    /// What is wrong, in fixed words.
    pub msg: &'static str,
}

impl From<Refusal> for Problem {
    /// 400 about a place in the body. The value stays unsaid: it may be somebody's.
    fn from(refusal: Refusal) -> Self {
        let param = if refusal.path.is_empty() { "body".to_owned() } else { refusal.path };
        Self::invalid(None, refusal.msg, param, Location::Body)
    }
}

/// The place in a text, kept while going down.
struct Path(String);

impl Path {
    /// One step down to a key, cut where it is absurdly long; what it returns takes the step back.
    fn enter_key(&mut self, key: &str) -> usize {
        let before = self.0.len();
        if before > 0 {
            self.0.push('.');
        }
        self.0.extend(key.chars().take(256));
        before
    }

    /// One step down to an item of an array.
    fn enter_index(&mut self, index: usize) -> usize {
        let before = self.0.len();
        self.0.push_str(&format!("[{index}]"));
        before
    }

    /// Back up to where a step began.
    fn leave(&mut self, before: usize) {
        self.0.truncate(before);
    }

    fn refuse(&self, msg: &'static str) -> Refusal {
        Refusal { path: self.0.clone(), msg }
    }
}
