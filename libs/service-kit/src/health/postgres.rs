//! Whether PostgreSQL can be worked with, on connections that are made for the question.
//!
//! What an old connection says is not what the next one will: PostgreSQL fixes the defaults of a session when it connects, and a session
//! from before a failover may lead to a standby. So each look has another one made for the next look: it is a moment old while somebody
//! asks, no look has to wait until one is made, and no request waits behind a look.

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

/// For a connection to be made, which takes many answers where a look takes two.
const CONNECT: Duration = Duration::from_secs(5);
/// For the answers of a look.
const ANSWER: Duration = Duration::from_secs(1);

const STATE: &str = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool";

impl Health {
    /// Adds the database of that URL, which must take writes; `needs` is a statement that has to work there, too.
    ///
    /// # Errors
    /// The URL can't be read.
    pub fn add_postgres(
        &self,
        name: &'static str,
        url: &str,
        needs: Option<&'static str>,
    ) -> anyhow::Result<()> {
        let probe = Probe::new(url, needs)?;
        self.add(name, move || {
            let probe = probe.clone();
            Box::pin(async move { probe.look().await })
        });
        Ok(())
    }
}

/// Looks whether a database takes writes. Cheap to clone.
#[derive(Clone)]
pub struct Probe(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    needs: Option<&'static str>,
    /// For the next look.
    session: Arc<Mutex<Option<PgConnection>>>,
    is_renewing: AtomicBool,
}

impl Probe {
    /// It connects when first used.
    ///
    /// # Errors
    /// The URL can't be read.
    pub fn new(url: &str, needs: Option<&'static str>) -> anyhow::Result<Self> {
        // With the options of one who writes.
        let options = database::pool(url, Role::Projector, 1)?.connect_options().as_ref().clone();
        let options = options.application_name("rollcall health");
        let (session, is_renewing) = (Arc::default(), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { options, needs, session, is_renewing })))
    }

    /// Whether the database takes writes, and the statement works there; else why not. In a task of its own: where a look is given up
    /// since it takes too long, the connection is made all the same, for the next one.
    pub async fn look(&self) -> Result<(), String> {
        let inner = self.0.clone();
        // Waited for here, so that looks that are given up don't queue behind one that takes long.
        let session = inner.session.clone().lock_owned().await;
        let looked = tokio::spawn(async move {
            let found = inner.look(session).await;
            tokio::spawn(async move { inner.renew().await });
            found
        });
        looked.await.unwrap_or_else(|_| Err("the check failed".to_owned()))
    }
}

impl Inner {
    async fn look(&self, mut session: OwnedMutexGuard<Option<PgConnection>>) -> Result<(), String> {
        if let Some(kept) = &mut *session
            && let Ok(found) = answered(ANSWER, self.ask(kept)).await
        {
            return found;
        }
        *session = None;
        let mut new = self.connect().await.map_err(|error| refused(&error))?;
        let asked = answered(ANSWER, self.ask(&mut new)).await;
        let found = asked.map_err(|_| "no answer".to_owned())?;
        *session = Some(new);
        found
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        answered(CONNECT, PgConnection::connect_with(&self.options)).await
    }

    /// Has a new connection ready for the next look; where none can be made, that look says why.
    async fn renew(&self) {
        if self.is_renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let new = self.connect().await.ok();
        let old = std::mem::replace(&mut *self.session.lock().await, new);
        self.is_renewing.store(false, Ordering::Release);
        if let Some(old) = old {
            // That the server hears of the end is only polite.
            let _ = answered(CONNECT, old.close()).await;
        }
    }

    /// What a session says; an error: it is lost. By the simple protocol, so one answer is enough for each statement.
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
            // The server's own words on our statement hold nothing secret.
            Err(sqlx::Error::Database(error)) => Ok(Err(error.message().to_owned())),
            Err(error) => Err(error),
        }
    }
}

/// The server's own words on a connection might repeat what it was made with.
fn refused(error: &sqlx::Error) -> String {
    match error.as_database_error().and_then(|error| error.code()) {
        Some(code) => format!("no connection: PostgreSQL refused with SQLSTATE {code}"),
        None => "no connection".to_owned(),
    }
}
