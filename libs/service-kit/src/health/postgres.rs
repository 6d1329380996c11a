//! Checks PostgreSQL on connections that are made for the purpose.
//!
//! An old connection does not tell what a new one would: PostgreSQL fixes a session's defaults when
//! it connects, and a session from before a failover may be on a standby. So each check also opens
//! the connection for the next one. It is only moments old while checks are frequent, no check
//! waits for a connection to open, and no request waits behind a check.

use super::Health;
use crate::database::{self, Role, answered};
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgConnectOptions, raw_sql};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// For opening a connection, which takes many round trips where a check takes two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the replies of one check.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

const STATE: &str = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool";

impl Health {
    /// Adds the database at that URL, which must accept writes. The statement `needs` must succeed
    /// there, too.
    ///
    /// # Errors
    /// The URL is invalid.
    pub fn add_postgres(
        &self,
        name: &'static str,
        url: &str,
        needs: Option<&'static str>,
    ) -> anyhow::Result<()> {
        let probe = Probe::new(url, needs)?;
        self.add(name, move || {
            let probe = probe.clone();
            Box::pin(async move { probe.check().await })
        });
        Ok(())
    }
}

/// Checks whether a database accepts writes. Cheap to clone.
#[derive(Clone)]
pub struct Probe(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    needs: Option<&'static str>,
    /// For the next check.
    session: Arc<Mutex<Option<PgConnection>>>,
    is_renewing: AtomicBool,
}

impl Probe {
    /// Creates a probe. It connects on first use.
    ///
    /// # Errors
    /// The URL is invalid.
    pub fn new(url: &str, needs: Option<&'static str>) -> anyhow::Result<Self> {
        // With the options of a writer.
        let options = database::pool(url, Role::Projector, 1)?.connect_options().as_ref().clone();
        let options = options.application_name("rollcall health");
        let (session, is_renewing) = (Arc::default(), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { options, needs, session, is_renewing })))
    }

    /// Checks that the database accepts writes and that the statement works. Otherwise says why
    /// not. Runs in its own task: if a slow check is abandoned, its connection is still completed,
    /// for the next one.
    pub async fn check(&self) -> Result<(), String> {
        let inner = self.0.clone();
        // Waits here, so that abandoned checks don't queue behind a slow one.
        let session = inner.session.clone().lock_owned().await;
        let looked = tokio::spawn(async move {
            let found = inner.check(session).await;
            tokio::spawn(async move { inner.renew().await });
            found
        });
        looked.await.unwrap_or_else(|_| Err("the check failed".to_owned()))
    }
}

impl Inner {
    async fn check(&self, mut session: OwnedMutexGuard<Option<PgConnection>>) -> Result<(), String> {
        if let Some(kept) = &mut *session
            && let Ok(found) = answered(ANSWER_TIMEOUT, self.ask(kept)).await
        {
            return found;
        }
        *session = None;
        let mut new = self.connect().await.map_err(|error| refused(&error))?;
        let asked = answered(ANSWER_TIMEOUT, self.ask(&mut new)).await;
        let found = asked.map_err(|_| "no answer".to_owned())?;
        *session = Some(new);
        found
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        answered(CONNECT_TIMEOUT, PgConnection::connect_with(&self.options)).await
    }

    /// Opens a connection for the next check. If that fails, the next check reports why.
    async fn renew(&self) {
        if self.is_renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let new = self.connect().await.ok();
        let old = std::mem::replace(&mut *self.session.lock().await, new);
        self.is_renewing.store(false, Ordering::Release);
        if let Some(old) = old {
            // A courtesy to the server; its failure does not matter.
            let _ = answered(CONNECT_TIMEOUT, old.close()).await;
        }
    }

    /// What the session reports; an error means that it is lost. Uses the simple protocol: one
    /// round trip per statement.
    async fn ask(&self, session: &mut PgConnection) -> sqlx::Result<Result<(), String>> {
        let state = raw_sql(STATE).fetch_one(&mut *session).await?;
        let (is_standby, is_read_only): (bool, bool) = (state.try_get(0)?, state.try_get(1)?);
        if is_standby {
            return Ok(Err("it is a standby: nothing can be written".to_owned()));
        }
        if is_read_only {
            return Ok(Err(
                "it is read-only (default_transaction_read_only): nothing can be written".to_owned()
            ));
        }
        let Some(needs) = self.needs else { return Ok(Ok(())) };
        match raw_sql(needs).execute(session).await {
            Ok(_) => Ok(Ok(())),
            // The server's message about our statement holds nothing secret.
            Err(sqlx::Error::Database(error)) => Ok(Err(error.message().to_owned())),
            Err(error) => Err(error),
        }
    }
}

/// The server's message about a failed connection might repeat the connection's parameters, so only
/// the code is shown.
fn refused(error: &sqlx::Error) -> String {
    match error.as_database_error().and_then(|error| error.code()) {
        Some(code) => format!("no connection: PostgreSQL refused with SQLSTATE {code}"),
        None => "no connection".to_owned(),
    }
}
