//! The state of a generation.

use serde::Serialize;
use sqlx::{
    Database, Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
};
use std::fmt;

/// The state of a generation, of the users or of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GenerationState {
    /// A rebuild fills it.
    Building,
    /// It has the whole log, and follows.
    Built,
    /// Readers see it.
    Live,
    /// It was live, and follows.
    Retired,
}

impl GenerationState {
    const ALL: [Self; 4] = [Self::Building, Self::Built, Self::Live, Self::Retired];

    /// The state as PostgreSQL stores it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Built => "built",
            Self::Live => "live",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for GenerationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Type<Postgres> for GenerationState {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(stored: &<Postgres as Database>::TypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(stored)
    }
}

impl<'r> Decode<'r, Postgres> for GenerationState {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let stored = <&str as Decode<Postgres>>::decode(value)?;
        let state = Self::ALL.into_iter().find(|state| state.as_str() == stored);
        state.ok_or_else(|| format!("{stored} is no state of a generation").into())
    }
}
