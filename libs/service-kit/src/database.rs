//! Pools of PostgreSQL connections.

use anyhow::anyhow;
pub use kept::{KeptConnection, KeptConnections};
use reqwest::Url;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    io,
    str::FromStr as _,
    sync::atomic::{AtomicI32, Ordering},
    time::Duration,
};
use writable::Writable;

mod kept;
pub mod migrations;
pub mod pooler;
mod writable;

/// How long acquiring a connection may take, whether idle or new.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was used this recently is assumed to be alive.
const RECENTLY_USED: Duration = Duration::from_millis(200);
/// How long the liveness check of an idle connection may take.
const LIVENESS_CHECK: Duration = Duration::from_secs(1);
/// How long an abandoned statement may keep its connection.
const ABANDONED: Duration = Duration::from_secs(5);
/// The maximum lifetime of a writing session. A failover can leave a session that is healthy but
/// read-only; this limit ends any that the checks below miss.
const WRITER_LIFETIME: Duration = Duration::from_secs(60);

/// Who uses the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The projector, the only writer of the read model.
    Projector,
    /// The services: `default_transaction_read_only=on`, and `SET ROLE rollcall_reader` if that
    /// role exists and may be assumed.
    Reader,
    /// Users of the key store: `SET ROLE rollcall_keys` if that role exists and may be assumed.
    Keys,
}

/// Lets both sides notice a peer that vanished silently.
const KEEPALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "30"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")];

/// Planner settings for [`by_key`].
const BY_KEY: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// `SET ROLE` as a query that does nothing if the role does not exist or may not be assumed.
const TAKE_ROLE: &str = "SELECT set_config('role', rolname, false) FROM pg_roles \
     WHERE rolname = $1 AND pg_has_role(current_user, oid, 'member')";

/// A lazy pool of at most `connections`. It connects on first use, so start order does not matter.
/// Acquiring is bounded (3 s), statements too (10 s for readers, 60 s for the projector), and
/// `application_name` and TCP keepalive are set.
///
/// A server that hangs or vanished costs a connection only seconds: callers bound their queries
/// with [`answered`], and a connection that shows no sign of life afterwards is closed. So the pool
/// never fills up with dead connections.
///
/// With a writing role, a session that can't write (on a standby, or under
/// `default_transaction_read_only`) is used once and then closed. The caller gets the error at
/// once, and the next attempt gets a new session, so writes resume by themselves after a failover.
///
/// # Errors
/// The URL is invalid.
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

/// Connection options from the URL alone, without the password file in the home directory.
///
/// # Errors
/// The URL is invalid.
pub fn options(url: &str) -> anyhow::Result<PgConnectOptions> {
    let refused = |reason: String| anyhow!("the address of PostgreSQL {reason}");
    let parsed = parse(url).map_err(refused)?;
    let options = connect_options(&parsed).map_err(refused)?;
    let has_password = parsed.password().is_some() || parsed.query_pairs().any(|(key, _)| key == "password");
    // To a server, an empty password is the same as none. It keeps sqlx from looking for one.
    Ok(if has_password { options } else { options.password("") })
}

/// Checks a URL as [`options`] does, for the setting that it is read from.
///
/// # Errors
/// What is wrong, without the URL's values: one may be a password.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    connect_options(&parse(url)?).map(drop)
}

fn parse(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
    parsed.ok_or_else(|| "must be a postgres:// URL".to_owned())
}

/// The parser's own message could repeat part of the URL, and names no parameter. So the parameter
/// that is refused is looked for.
fn connect_options(url: &Url) -> Result<PgConnectOptions, String> {
    let read = |url: &Url| PgConnectOptions::from_str(url.as_str());
    read(url).map_err(|_| {
        let mut alone = url.clone();
        alone.set_query(None);
        let is_refused = |name: &str, value: &str| {
            let mut with = alone.clone();
            with.query_pairs_mut().append_pair(name, value);
            read(&with).is_err()
        };
        let mut parameters = url.query_pairs();
        match parameters.find(|(name, value)| is_refused(name, value)) {
            Some((name, _)) if read(&alone).is_ok() => format!("has no valid value in its parameter {name}"),
            _ => "must be a postgres:// URL in UTF-8".to_owned(),
        }
    })
}

/// A pool for statements that find all their rows by key. They use generic plans, independent of
/// statistics, which are outdated while a table is being filled.
///
/// A plan made for an empty table is kept while the table grows. So a statement must leave the
/// planner no choice but one index lookup per key. It writes the first key column as `t.a = ANY
/// (ARRAY[k.a])`: unlike `t.a = k.a`, this prevents PostgreSQL from scanning the whole index or
/// hashing it. All columns come from one list: of two lists, PostgreSQL may look up the columns of
/// one alone. And no other index may begin with the same columns, unless it is partial.
#[must_use]
pub fn by_key(pool: PgPool) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    pool.set_connect_options(options.options(BY_KEY));
    pool
}

/// Makes the rest of a transaction look rows up by key only, like [`by_key`].
///
/// # Errors
/// The statement failed.
pub async fn plan_by_key(transaction: &mut PgConnection) -> sqlx::Result<()> {
    set_local(transaction, BY_KEY).await
}

/// Ends [`plan_by_key`].
///
/// # Errors
/// The statement failed.
pub async fn plan_as_usual(transaction: &mut PgConnection) -> sqlx::Result<()> {
    set_local(transaction, BY_KEY.map(|(name, _)| (name, "DEFAULT"))).await
}

async fn set_local(transaction: &mut PgConnection, settings: [(&str, &str); 4]) -> sqlx::Result<()> {
    let set = settings.map(|(name, value)| format!("SET LOCAL {name} = {value}"));
    sqlx::raw_sql(AssertSqlSafe(set.join("; "))).execute(transaction).await.map(drop)
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
                connected.probe(connection).await
            })
        })
}

fn bounded(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // `is_usable` does this instead: with bounds, and not between two statements of a busy
        // service.
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_clean(connection)))
}

async fn take_role(connection: &mut PgConnection, role: Role) -> sqlx::Result<()> {
    match role.database_role() {
        Some(name) => sqlx::query(TAKE_ROLE).bind(name).execute(connection).await.map(drop),
        None => Ok(()),
    }
}

async fn is_usable(connection: &mut PgConnection, idle_for: Duration) -> sqlx::Result<bool> {
    if idle_for < RECENTLY_USED { Ok(true) } else { is_alive(connection, LIVENESS_CHECK).await }
}

async fn is_alive(connection: &mut PgConnection, within: Duration) -> sqlx::Result<bool> {
    answered(within, connection.ping()).await.map(|()| true)
}

/// Ends what a caller that gave up has left on its connection: a statement that is still running,
/// and a transaction. sqlx forgets a `BEGIN` that was given up, and what the session writes next
/// would be lost with it. After a `COPY` that was given up, sqlx takes earlier answers for later
/// ones: the number shows whose answer this is.
async fn is_clean(connection: &mut PgConnection) -> sqlx::Result<bool> {
    static QUESTIONS: AtomicI32 = AtomicI32::new(0);
    let number = QUESTIONS.fetch_add(1, Ordering::Relaxed);
    // A ROLLBACK outside of a transaction is a warning in PostgreSQL's log.
    let question = sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; ROLLBACK; SELECT {number}")));
    let answer = answered(ABANDONED, question.fetch_one(connection)).await?;
    Ok(answer.try_get::<i32, _>(0)? == number)
}

/// The result of `question`, or an error if it takes longer than `within`.
///
/// # Errors
/// The question's own, or an I/O error of kind `TimedOut`.
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

    /// The database role that each connection assumes.
    fn database_role(self) -> Option<&'static str> {
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
        assert!(error.contains("must be a postgres:// URL") && !error.contains("hush"), "{error}");
        assert!(pool("postgres://u:p@127.0.0.1:1/x", Role::Projector, 1).is_ok());
    }

    #[test]
    fn a_refused_parameter_is_named_without_its_value() {
        let reason = |url| check_url(url).err().unwrap_or_default();
        for (name, url) in [
            ("sslmode", "postgres://u:hush@h/db?application_name=hush&sslmode=hush"),
            ("port", "postgres://u:hush@h/db?port=hush"),
        ] {
            let reason = reason(url);
            assert_eq!(reason, format!("has no valid value in its parameter {name}"));
        }
        assert_eq!(reason("mysql://u:hush@h/db"), "must be a postgres:// URL");
        assert_eq!(reason("postgres://u:%ff@h/db?sslmode=hush"), "must be a postgres:// URL in UTF-8");
        assert_eq!(reason("postgres://u:hush@h/db?sslmode=require"), "");
    }
}
