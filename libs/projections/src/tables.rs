//! A projection's own tables.

use sqlx::{AssertSqlSafe, PgConnection};

/// A table that a projection declares.
///
/// Every table has a column `tenant_id text COLLATE "C" NOT NULL`, by which two generations are
/// compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name, without a schema.
    pub name: &'static str,
    /// Whether it depends on personal data.
    pub is_personal: bool,
}

impl Table {
    /// A table that depends on nothing but who did what and when.
    #[must_use]
    pub const fn plain(name: &'static str) -> Self {
        Self { name, is_personal: false }
    }

    /// A table that depends on claims or links. The framework deletes a user's rows in the
    /// transaction that deletes the user. It has a column `user_id uuid NOT NULL`, its primary key
    /// begins with `tenant_id, user_id`, and no other table refers to it.
    #[must_use]
    pub const fn personal(name: &'static str) -> Self {
        Self { name, is_personal: true }
    }
}

/// The tables of one generation of a projection, in a transaction of the framework.
pub struct Tables<'c> {
    connection: &'c mut PgConnection,
    schema: &'c str,
}

impl<'c> Tables<'c> {
    /// The tables in a schema.
    #[must_use]
    pub fn new(connection: &'c mut PgConnection, schema: &'c str) -> Self {
        Self { connection, schema }
    }

    /// A statement on these tables: `{p}` stands for their schema.
    ///
    /// Values are bound, never written into the text, which is why it is `'static`.
    #[must_use]
    pub fn sql(&self, template: &'static str) -> AssertSqlSafe<String> {
        AssertSqlSafe(template.replace("{p}", self.schema))
    }

    /// The connection that statements run on.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.connection
    }
}
