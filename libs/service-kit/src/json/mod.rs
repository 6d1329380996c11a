//! Strict JSON: what the API accepts as JSON. A refusal names the place, never the value.

mod encoding;
mod limits;
mod number;
mod parse;

pub use encoding::is_utf16;
pub use limits::{MAX_BODY_LEVELS, check_claims_limits};
pub use parse::parse;

use crate::problem::{Code, Detail, Location, MAX_DETAILS, Problem};

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The path to the place (`claims.address[2].street`). Empty: the text as a whole.
    pub path: String,
    /// What is wrong, in fixed words.
    pub msg: &'static str,
}

/// Everything that is refused, up to a limit. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals(Vec<Refusal>);

impl Refusals {
    /// The first one.
    pub fn first(self) -> Refusal {
        self.0.into_iter().next().unwrap_or(Refusal { path: String::new(), msg: "Is refused" })
    }
}

impl From<Refusal> for Refusals {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}

impl From<Refusals> for Problem {
    /// 400 about places in the body. Their values are not repeated: they may be personal data.
    fn from(refusals: Refusals) -> Self {
        let problem = Self::new(Code::BadRequest, "Validation Error");
        refusals.0.into_iter().map(Detail::from).fold(problem, Self::detail)
    }
}

impl From<Refusal> for Detail {
    fn from(Refusal { path, msg }: Refusal) -> Self {
        let param = if path.is_empty() { "body".to_owned() } else { path };
        Self { value: None, msg: msg.to_owned(), param, location: Location::Body }
    }
}

/// Refusals as they are found.
#[derive(Debug, Default)]
pub struct Found(Vec<Refusal>);

impl Found {
    /// Keeps a refusal, unless there are as many as a response names.
    pub fn push(&mut self, refusal: Refusal) {
        if self.0.len() < MAX_DETAILS {
            self.0.push(refusal);
        }
    }

    /// Whether the place with this path was refused.
    pub fn has(&self, path: &str) -> bool {
        self.0.iter().any(|refusal| refusal.path == path)
    }

    /// Keeps the refusals of a part. Returns the part if it has none.
    pub fn check<T>(&mut self, part: Result<T, Refusals>) -> Option<T> {
        part.map_err(|refusals| refusals.0.into_iter().for_each(|refusal| self.push(refusal))).ok()
    }

    /// Returns the value if nothing was found.
    ///
    /// # Errors
    /// What was found.
    pub fn finish<T>(self, value: T) -> Result<T, Refusals> {
        if self.0.is_empty() { Ok(value) } else { Err(self.into_refusals()) }
    }

    /// What was found. There must be something.
    pub fn into_refusals(self) -> Refusals {
        Refusals(self.0)
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
