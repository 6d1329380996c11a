//! Pools of Postgres connections.

use anyhow::anyhow;
use reqwest::Url;
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{io, str::FromStr as _, time::Duration};
use writable::Writable;

pub mod pooler;
mod writable;

/// How long a connection may take to be had: one that is free, or a new one.
const ACQUIRE: Duration = Duration::from_secs(3);
/// Who was at work that recently is taken to be there still.
const FRESH: Duration = Duration::from_millis(200);
/// How long one that was idle may take to show that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// How long a statement that nobody waits for any more may keep its connection.
const ABANDONED: Duration = Duration::from_secs(5);
/// How long a session that writes may live. A failover can leave a session behind that is healthy and can't write; whatever the checks
/// below do not see ends with it.
const WRITER_LIFETIME: Duration = Duration::from_secs(60);

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
/// A session that can't write (on a standby, or under `default_transaction_read_only`) is used once by a role that writes, and then closed:
/// the error reaches the caller at once, and the next attempt gets a new session. So writes go on by themselves after a failover.
///
/// # Errors
/// The URL can't be read.
pub fn pool(url: &str, role: Role, connections: u32) -> anyhow::Result<PgPool> {
    let options = options(url)?
        .application_name(role.application_name())
        .options(KEEPALIVE)
        .options(role.options().iter().copied());
    let pool = match role {
        Role::Reader => reading(connections),
        Role::Projector | Role::Keys => writing(role, connections),
    };
    Ok(pool.connect_lazy_with(options))
}

/// What a URL says, and nothing else: no file of passwords in the home directory.
///
/// # Errors
/// The URL can't be read.
pub fn options(url: &str) -> anyhow::Result<PgConnectOptions> {
    // The parser's own words could repeat a part of the URL, which holds a password.
    let refused = || anyhow!("DATABASE_URL: must be a postgres:// URL");
    let parsed = Url::parse(url).map_err(|_| refused())?;
    let options = PgConnectOptions::from_str(url).map_err(|_| refused())?;
    let has_password = parsed.password().is_some() || parsed.query_pairs().any(|(key, _)| key == "password");
    // An empty one and none are the same to a server.
    Ok(if has_password { options } else { options.password("") })
}

/// A pool for statements that all find their rows by key: they are planned once, and so whatever the statistics say, which are old where a table
/// is being filled.
///
/// A plan that was made for an empty table is kept while the table grows. So a statement must leave the planner no other way than one look
/// into an index for each key. It writes the first column of the key as `t.a = ANY (ARRAY[k.a])`: by that, unlike `t.a = k.a`, PostgreSQL can
/// neither read the whole index beside the list of keys nor hash it. And no other index may begin with the same columns, unless it is partial.
#[must_use]
pub fn by_key(pool: PgPool) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    pool.set_connect_options(options.options(BY_KEY));
    pool
}

fn reading(connections: u32) -> PgPoolOptions {
    bounded(connections)
        .before_acquire(|connection, at| Box::pin(is_usable(connection, at.idle_for)))
        .after_connect(|connection, _| Box::pin(take_role(connection, Role::Reader)))
}

fn writing(role: Role, connections: u32) -> PgPoolOptions {
    let writable = Writable::new(role.application_name());
    let connected = writable.clone();
    bounded(connections)
        .max_lifetime(WRITER_LIFETIME)
        .before_acquire(move |connection, at| {
            let is_stale = writable.is_stale(at.age);
            Box::pin(
                async move { if is_stale { Ok(false) } else { is_usable(connection, at.idle_for).await } },
            )
        })
        .after_connect(move |connection, _| {
            let connected = connected.clone();
            Box::pin(async move {
                take_role(connection, role).await?;
                connected.look(connection).await
            })
        })
}

fn bounded(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        // Done in `is_usable` instead, with bounds, and not between two statements of a busy service.
        .test_before_acquire(false)
        // It may be in the middle of a statement that was given up.
        .after_release(|connection, _| Box::pin(lives(connection, ABANDONED)))
}

async fn take_role(connection: &mut PgConnection, role: Role) -> sqlx::Result<()> {
    match role.taken() {
        Some(taken) => sqlx::query(TAKE_ROLE).bind(taken).execute(connection).await.map(drop),
        None => Ok(()),
    }
}

async fn is_usable(connection: &mut PgConnection, idle_for: Duration) -> sqlx::Result<bool> {
    if idle_for < FRESH { Ok(true) } else { lives(connection, SIGN_OF_LIFE).await }
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
