//! Pools of Postgres connections.

use anyhow::anyhow;
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{io, str::FromStr as _, time::Duration};

/// How long a connection may take to be had: one that is free, or a new one.
const ACQUIRE: Duration = Duration::from_secs(3);
/// Who was at work that recently is taken to be there still.
const FRESH: Duration = Duration::from_millis(200);
/// How long one that was idle may take to show that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// How long a statement that nobody waits for any more may keep its connection.
const ABANDONED: Duration = Duration::from_secs(5);

/// Who uses the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The projector: the only one that writes the read model.
    Projector,
    /// The services: `default_transaction_read_only=on`, and `SET ROLE rollcall_reader` where that role exists and may be taken.
    Reader,
    /// Who makes, finds and destroys data keys: `SET ROLE rollcall_keys` where that role exists and may be taken.
    Keys,
}

/// So that a server that went away without a word is noticed on both sides.
const KEEPALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "30"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")];

/// Of [`by_key`].
const BY_KEY: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// `SET ROLE`, as a query that does nothing where the role does not exist or may not be taken.
const TAKE_ROLE: &str = "SELECT set_config('role', rolname, false) FROM pg_roles \
     WHERE rolname = $1 AND pg_has_role(current_user, oid, 'member')";

/// A lazy pool (it connects when first used, so start order does not matter), at most `connections`, with a bounded acquire (3 s),
/// a statement timeout (10 s for readers, 60 s for the projector), `application_name` and TCP keepalive.
///
/// A server that is frozen or was lost without a word costs a connection no more than seconds: whoever asks it bounds that by
/// [`answered`], and a connection that shows no sign of life after that is given up, so that the pool is never full of dead ones.
///
/// # Errors
/// The URL can't be read.
pub fn pool(url: &str, role: Role, connections: u32) -> anyhow::Result<PgPool> {
    // The parser's own words could repeat a part of the URL, which holds a password.
    let options =
        PgConnectOptions::from_str(url).map_err(|_| anyhow!("DATABASE_URL: must be a postgres:// URL"))?;
    let options = options
        .application_name(role.application_name())
        .options(KEEPALIVE)
        .options(role.options().iter().copied());
    let pool = match role.taken() {
        None => bounded(connections),
        Some(taken) => bounded(connections).after_connect(move |connection, _| {
            Box::pin(async move { sqlx::query(TAKE_ROLE).bind(taken).execute(connection).await.map(drop) })
        }),
    };
    Ok(pool.connect_lazy_with(options))
}

/// A pool for statements that all find their rows by key: they are planned once, and so whatever the statistics say, which are old where a table
/// is being filled.
#[must_use]
pub fn by_key(pool: PgPool) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    pool.set_connect_options(options.options(BY_KEY));
    pool
}

fn bounded(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        // Done here instead, with bounds, and not between two statements of a busy service.
        .test_before_acquire(false)
        .before_acquire(|connection, at| {
            let is_fresh = at.idle_for < FRESH;
            Box::pin(async move { if is_fresh { Ok(true) } else { lives(connection, SIGN_OF_LIFE).await } })
        })
        // It may be in the middle of a statement that was given up.
        .after_release(|connection, _| Box::pin(lives(connection, ABANDONED)))
}

async fn lives(connection: &mut PgConnection, within: Duration) -> sqlx::Result<bool> {
    answered(within, connection.ping()).await.map(|()| true)
}

/// The answer to a question, unless it takes longer than that.
///
/// # Errors
/// The question's own, or an I/O error that says that the time is up.
pub async fn answered<T>(
    within: Duration,
    question: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let answer = tokio::time::timeout(within, question).await;
    answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

impl Role {
    fn application_name(self) -> &'static str {
        match self {
            Self::Projector => "rollcall projector",
            Self::Reader => "rollcall reader",
            Self::Keys => "rollcall keys",
        }
    }

    /// The database's role that is taken at each connect.
    fn taken(self) -> Option<&'static str> {
        match self {
            Self::Projector => None,
            Self::Reader => Some("rollcall_reader"),
            Self::Keys => Some("rollcall_keys"),
        }
    }

    fn options(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Projector => &[("statement_timeout", "60s")],
            Self::Keys => &[("statement_timeout", "10s")],
            Self::Reader => &[("statement_timeout", "10s"), ("default_transaction_read_only", "on")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bad_url_is_refused_without_repeating_it() {
        let error = pool("hush", Role::Reader, 1).err().map(|error| format!("{error:?}")).unwrap_or_default();
        assert!(error.contains("DATABASE_URL") && !error.contains("hush"), "{error}");
        assert!(pool("postgres://u:p@127.0.0.1:1/x", Role::Projector, 1).is_ok());
    }
}
