//! The tables that are compared, and their columns.

/// A table of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Table {
    /// Users.
    Users,
    /// Deleted users.
    Tombstones,
    /// Credentials.
    Credentials,
    /// Postings of the search.
    Postings,
}

impl Table {
    /// All tables. Postings come last, because a generation of an earlier release has none.
    pub const ALL: [Self; 4] = [Self::Users, Self::Tombstones, Self::Credentials, Self::Postings];

    /// The table's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Tombstones => "tombstones",
            Self::Credentials => "credentials",
            Self::Postings => "postings",
        }
    }

    /// The columns that tell rows apart.
    pub(super) const fn key(self) -> &'static [&'static str] {
        match self {
            Self::Users | Self::Tombstones => &["tenant_id", "id"],
            Self::Credentials => &["tenant_id", "user_id", "id"],
            Self::Postings => &["term", "created_at", "user_id"],
        }
    }

    /// The other columns that follow from the log. `has_postings`: whether both generations have
    /// them, and so the terms of users.
    pub(super) fn values(self, has_postings: bool) -> Vec<&'static str> {
        match self {
            Self::Users => {
                let columns = [
                    "version",
                    "created_at",
                    "claims",
                    "provider_id",
                    "provider_url",
                    "subject_id",
                    "body",
                    "creation_digest",
                    "log_partition",
                    "log_offset",
                    "key_id",
                ];
                columns.into_iter().chain(has_postings.then_some("terms")).collect()
            }
            Self::Tombstones => vec!["version", "deleted_at", "log_partition", "log_offset"],
            Self::Credentials => {
                vec!["created_at", "issued", "status", "body", "log_partition", "log_offset"]
            }
            Self::Postings => Vec::new(),
        }
    }

    /// The column with the user.
    pub(super) const fn user(self) -> &'static str {
        match self {
            Self::Users | Self::Tombstones => "id",
            Self::Credentials | Self::Postings => "user_id",
        }
    }

    /// The tenant of a row, as SQL. A posting does not name it: its term contains it.
    pub(super) const fn tenant(self) -> &'static str {
        match self {
            Self::Users | Self::Tombstones | Self::Credentials => "tenant_id",
            Self::Postings => "''",
        }
    }
}
