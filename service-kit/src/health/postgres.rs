//! Whether PostgreSQL can be worked with, on a connection that is made for the question.
//!
//! What an old connection says is not what the next one will: PostgreSQL fixes the defaults of a session when it connects, and a session
//! from before a failover may lead to a standby. So each look connects anew, and no request ever waits behind a look.

use super::Health;
use crate::database::{self, Role};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use std::sync::Arc;

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
        let options = options(url)?;
        self.add(name, move || {
            let options = options.clone();
            Box::pin(async move { takes_writes(&options, needs).await })
        });
        Ok(())
    }
}

/// How to connect to the database of a URL as one who writes.
pub(crate) fn options(url: &str) -> anyhow::Result<Arc<PgConnectOptions>> {
    let options = database::pool(url, Role::Projector, 1)?.connect_options().as_ref().clone();
    Ok(Arc::new(options.application_name("rollcall health")))
}

/// Whether the database takes writes on a new connection, and the statement works there.
pub(crate) async fn takes_writes(
    options: &PgConnectOptions,
    needs: Option<&'static str>,
) -> Result<(), String> {
    let mut connection = PgConnection::connect_with(options).await.map_err(|error| connecting(&error))?;
    let asked = sqlx::query_as("SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool");
    let state: (bool, bool) = asked.fetch_one(&mut connection).await.map_err(|error| asking(&error))?;
    match state {
        (true, _) => return Err("it is a standby: nothing can be written".to_owned()),
        (_, true) => {
            return Err("it is read-only (default_transaction_read_only): nothing can be written".to_owned());
        }
        _ => {}
    }
    if let Some(needs) = needs {
        sqlx::query(needs).execute(&mut connection).await.map_err(|error| asking(&error))?;
    }
    // The answer is known; that the server hears of the end is only polite.
    let _ = connection.close().await;
    Ok(())
}

/// The server's own words on a connection might repeat what it was made with.
fn connecting(error: &sqlx::Error) -> String {
    match error.as_database_error().and_then(|error| error.code()) {
        Some(code) => format!("no connection: PostgreSQL refused with SQLSTATE {code}"),
        None => "no connection".to_owned(),
    }
}

/// Those on our own statements hold nothing secret.
fn asking(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        _ => "no answer".to_owned(),
    }
}
