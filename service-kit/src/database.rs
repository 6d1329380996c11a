//! Pools of Postgres connections.
// STUB: helper S1.

use sqlx::PgPool;

/// Who uses the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The projector: the only one that writes the read model.
    Projector,
    /// The services: `default_transaction_read_only=on`, and `SET ROLE rollcall_reader` where that role exists and may be taken.
    Reader,
}

/// A lazy pool (it connects when first used, so start order does not matter), at most `connections`, with a bounded acquire (3 s),
/// a statement timeout, `application_name` and TCP keepalive.
///
/// # Errors
/// The URL can't be read.
pub fn pool(_url: &str, _role: Role, _connections: u32) -> anyhow::Result<PgPool> {
    unimplemented!()
}
