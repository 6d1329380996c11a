//! Why a record can't be folded: a stable code for programs, and a text for people.
//!
//! The code is stored and compared. The text is generated from the code and a detail whenever it is
//! shown, so it may be reworded at any time. `docs/dead-letters.md` lists the codes.

use std::{borrow::Cow, fmt, str::FromStr};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a record is set aside. The names are stable: scripts and database rows contain them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonCode {
            $($(#[$doc])* $name,)*
        }

        impl ReasonCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it is stored and printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The text. `{}` stands for the detail.
            const fn template(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The Kafka record has no key.
    NoRecordKey = "no-record-key", "the record has no key: a key is <tenantId>/<userId>";
    /// The Kafka record's key can't be read.
    BadRecordKey = "bad-record-key", "key: {}";
    /// The key names a user in another spelling than the one that determines the partition.
    RecordKeySpelling = "record-key-spelling",
        "key: the user id is not in its plain form (lower case, with hyphens), which chooses the partition: send it again under the plain key";
    /// The record is in another partition than its key's.
    WrongPartition = "wrong-partition",
        "the key belongs to partition {}, not to this one: choose it by murmur2 of the key, as Java's clients do by default (librdkafka: \
         partitioner=murmur2_random), and send it again";
    /// The record's Kafka timestamp is needed, but missing or out of range.
    NoTime = "no-time", "the record's Kafka timestamp is missing or out of range, and there is no ce_time";
    /// A CloudEvent in structured mode.
    StructuredMode = "structured-mode",
        "content-type application/cloudevents+json: this is structured mode, which is not supported. Send binary mode: the attributes as ce_ \
         headers, the data alone as the value";
    /// Several CloudEvents in one record.
    BatchMode = "batch-mode",
        "content-type application/cloudevents-batch+json: this is batch mode, which is not supported. Send each event as a record of its own, in \
         binary mode: the attributes as ce_ headers, the data alone as the value";
    /// A required header is missing.
    MissingHeader = "missing-header", "header {} is missing";
    /// A required header is empty.
    EmptyHeader = "empty-header", "header {} is empty";
    /// A header occurs more than once.
    DoubledHeader = "doubled-header", "header {} occurs more than once";
    /// A header can't be read.
    BadHeader = "bad-header", "header {}";
    /// A header contradicts the key.
    HeaderMismatch = "header-mismatch", "header {} does not match the key";
    /// The name of a header is not UTF-8.
    BadHeaderName = "bad-header-name", "a header's name is not UTF-8";
    /// The headers are too large, or too many.
    HeadersTooLarge = "headers-too-large", "its headers are {}";
    /// The value is too large.
    TooLarge = "too-large", "the value is larger than {}";
    /// The record has no value.
    NoValue = "no-value", "the record has no value";
    /// The value is not JSON, or not JSON that is accepted here.
    NotJson = "not-json", "the value can't be read as JSON: {}";
    /// The value does not match its type.
    BadData = "bad-data", "the value does not match its type: {}";
    /// The type is known, but its version is not.
    UnknownVersion = "unknown-version", "this build does not know the type's version";
    /// The type belongs in the other topic.
    WrongTopic = "wrong-topic", "the type belongs in topic {}";
    /// An earlier event is missing.
    Gap = "gap", "gap: an earlier event is missing";
    /// The user exists and is created again.
    CreatedAgain = "created-again", "created, but the user exists already";
    /// The user's first event is not the creation.
    NotCreated = "not-created", "the first event is not the user's creation";
    /// The data key under which the event is sealed is missing.
    KeyMissing = "key-missing", "its key is missing: if the user was deleted, discard; otherwise restore the key store, then retry";
    /// The data key does not open the event.
    NotOpened = "not-opened", "it can't be opened with its key";
    /// The record is fine, but waits for an earlier one.
    Queued = "queued", "queued behind an earlier one";
    /// A credential event that arrived after later ones.
    LateCredential = "late-credential",
        "later events of this credential are folded already: `rollcall projection rebuild` folds all of them in order";
    /// PostgreSQL rejects its data.
    RefusedByDatabase = "refused-by-database", "can't be stored: PostgreSQL refuses its data";
    /// Set aside by another build for a reason that this one does not know.
    Unknown = "unknown", "{}";
}

impl ReasonCode {
    /// The code with that name. `Unknown` if another build stored it.
    #[must_use]
    pub fn of(name: &str) -> Self {
        name.parse().unwrap_or(Self::Unknown)
    }

    /// The reason without a detail.
    #[must_use]
    pub const fn alone(self) -> Reason {
        Reason { code: self, detail: None }
    }

    /// The reason with a detail, which must not repeat anything from the record.
    pub fn with(self, detail: impl Into<Cow<'static, str>>) -> Reason {
        Reason { code: self, detail: Some(detail.into()) }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReasonCode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|code| code.as_str() == name);
        found.copied().ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|code| code.as_str()).collect();
            format!("no such reason; the reasons are {}", all.join(", "))
        })
    }
}

/// Why a record can't be decoded or folded. It names places and never repeats values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The code, for programs.
    pub code: ReasonCode,
    /// The details that the code leaves open: the header, the member, the partition.
    pub detail: Option<Cow<'static, str>>,
}

impl Reason {
    /// A reason as stored in the database.
    #[must_use]
    pub fn stored(code: &str, detail: Option<String>) -> Self {
        Self { code: ReasonCode::of(code), detail: detail.map(Cow::Owned) }
    }
}

impl From<ReasonCode> for Reason {
    fn from(code: ReasonCode) -> Self {
        code.alone()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.detail.as_deref().unwrap_or("unspecified");
        f.write_str(&self.code.template().replace("{}", detail))
    }
}

impl std::error::Error for Reason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_back_by_its_name() {
        for code in ReasonCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert_eq!(Reason::stored(code.as_str(), Some("x".to_owned())), code.with("x".to_owned()));
        }
        assert!("nonsense".parse::<ReasonCode>().is_err());
        assert_eq!(Reason::stored("nonsense", None).code, ReasonCode::Unknown);
    }

    #[test]
    fn the_text_is_made_from_code_and_detail() {
        let said = |reason: Reason| reason.to_string();
        assert_eq!(said(ReasonCode::MissingHeader.with("ce_type")), "header ce_type is missing");
        assert!(said(ReasonCode::WrongPartition.with("3")).starts_with("the key belongs to partition 3, "));
        assert_eq!(said(ReasonCode::Unknown.with("as it was said")), "as it was said");
    }

    #[test]
    fn every_code_is_in_the_docs() {
        let table = include_str!("../../docs/dead-letters.md");
        for code in ReasonCode::ALL {
            assert!(table.contains(&format!("| `{code}` |")), "{code} is not in docs/dead-letters.md");
        }
    }
}
