//! Import: appends users and credentials from JSON lines to the log.
//!
//! Whatever the read model already has is skipped, so importing the same file again appends
//! nothing.

mod appender;
mod batch;
mod credentials;
mod existing;
mod lines;
mod records;
mod report;
mod users;
mod wait;

pub use report::{BadLine, BlockingTransaction, Progress, Report};

use crate::{keys::origins::Origins, log::Log};
use anyhow::Context as _;
use appender::{Appender, Reached};
use batch::{MAX_LINE_BYTES, read_batch};
use event_log::identity_watch::IdentityCheck;
use events_schema::{TenantId, Timestamp, UserKey, personal::Personal};
use existing::{Existing, Recent};
use key_store::{DataKey, Keys, Origin};
use lines::Lines;
use records::records;
use service_kit::{
    database::{self, Role},
    json::is_utf16,
    kafka::{OwnSettings, Topics, producer_config, record_timeout},
    settings::Settings,
};
use sqlx::PgPool;
use std::{io::BufRead, sync::Arc, time::Duration};
use uuid::Uuid;

/// What the lines contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Users, for `users.events`.
    Users,
    /// Credentials, for `users.credentials`.
    Credentials,
}

impl Kind {
    /// The topic that they are appended to.
    fn topic(self, settings: &Settings) -> String {
        let topics = Topics::new(&settings.topic_prefix);
        match self {
            Self::Users => topics.users,
            Self::Credentials => topics.credentials,
        }
    }
}

/// Nobody waits for a single record here, so batches may fill up, and the log may be slow.
const OWN_SETTINGS: OwnSettings<'_> = OwnSettings { defaults: &[("linger.ms", "10")], required: &[] };
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// A line as an event for the log.
struct ImportedEvent {
    line: u64,
    /// Identifies the event: the user's id and the credential's id (for a user, the user's id
    /// twice).
    identity: Identity,
    key: UserKey,
    content: Content,
}

/// The content of an event.
enum Content {
    /// A user was created.
    User(Timestamp, Personal),
    /// A credential was issued. This is the record's value.
    Credential(Vec<u8>),
}

type Identity = (Uuid, Uuid);

/// Imports lines for a tenant. With `wait`, returns once everything that was appended is visible,
/// otherwise once it is in the log. `on_progress` is called from time to time, with the bad lines
/// found since the last call. A bad line does not stop the import.
///
/// # Errors
/// The input can't be read, a store can't be reached, or the appended events do not become visible.
/// What was appended by then stays in the log, and another import of the same lines skips it.
pub async fn run(
    settings: &Settings,
    tenant: &TenantId,
    kind: Kind,
    mut input: impl BufRead + Send,
    wait: bool,
    mut on_progress: impl FnMut(&Progress, &[BadLine]) + Send,
) -> anyhow::Result<Report> {
    // UTF-16 can't even be split into lines at line feeds.
    anyhow::ensure!(
        !is_utf16(input.fill_buf().context("the input can't be read")?),
        "the input is UTF-16, and nothing was imported: convert it first with `iconv -f UTF-16 -t UTF-8`"
    );
    let pool = database::by_key(database::pool(settings.database_url()?, Role::Reader, 2)?);
    let before = wait::positions(&pool, kind).await.context("the read model can't be queried")?;
    let mut import = Import::start(settings, &pool, tenant, kind, before.partitions()?).await?;
    let mut lines = Lines::new(input, MAX_LINE_BYTES);
    loop {
        let mut bad = Vec::new();
        let is_end = import.next_batch(&mut lines, &mut bad).await?;
        on_progress(&import.progress, &bad);
        if is_end {
            break;
        }
    }
    let (reached, mut progress) = import.finish().await?;
    if wait {
        wait::until_visible((settings, &pool), kind, &before, &reached, |awaited, held| {
            progress.awaited = awaited;
            progress.held = held.to_vec();
            on_progress(&progress, &[]);
        })
        .await?;
    }
    Ok(Report::new(&progress))
}

/// A running import.
struct Import<'a> {
    tenant: &'a TenantId,
    kind: Kind,
    log_identity: IdentityCheck,
    keys: Keys,
    id_secret: Arc<DataKey>,
    origin: Origin,
    existing: Existing<'a>,
    recent: Recent,
    appender: Appender,
    progress: Progress,
}

impl<'a> Import<'a> {
    async fn start(
        settings: &Settings,
        pool: &'a PgPool,
        tenant: &'a TenantId,
        kind: Kind,
        partitions: u32,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(
            partitions > 0,
            "the read model has no live generation: run `rollcall migrate` first"
        );
        let log_identity = IdentityCheck::new(settings, pool.clone())?;
        let appender = Appender::new(log(settings, kind)?, partitions);
        let keys = Keys::open(settings)?;
        let origin = Origins::new(pool.clone()).current().await?;
        let id_secret = keys.id_secret().await?;
        let existing = Existing { pool, tenant, kind };
        let (recent, progress) = (Recent::default(), Progress::default());
        Ok(Self { tenant, kind, log_identity, keys, id_secret, origin, existing, recent, appender, progress })
    }

    /// Imports the next lines. Returns whether the input ends with them.
    async fn next_batch(
        &mut self,
        lines: &mut Lines<impl BufRead>,
        bad: &mut Vec<BadLine>,
    ) -> anyhow::Result<bool> {
        let batch = read_batch(lines, self.tenant, self.kind, &self.id_secret, &mut self.progress, bad)
            .context("the input can't be read")?;
        let new = self.new_events(batch.events).await?;
        let may_append = new.is_empty() || !self.log_identity.is_replaced().await?;
        anyhow::ensure!(may_append, "{}", refused(self.progress.appended));
        for (line, record) in records(&self.keys, &self.origin, new).await? {
            self.appender.append(line, record).await?;
            self.progress.appended += 1;
        }
        Ok(batch.is_end)
    }

    /// Removes the events that exist already, and counts them.
    async fn new_events(&mut self, events: Vec<ImportedEvent>) -> anyhow::Result<Vec<ImportedEvent>> {
        let existing = self.existing.of(&events).await;
        let existing = existing.context("the read model can't be queried for what exists already")?;
        let all = events.len();
        let is_new =
            |event: &ImportedEvent| !existing.contains(&event.identity) && self.recent.is_new(event.identity);
        let new: Vec<ImportedEvent> = events.into_iter().filter(is_new).collect();
        self.progress.already_there += u64::try_from(all - new.len())?;
        Ok(new)
    }

    /// Waits until everything is in the log.
    async fn finish(self) -> anyhow::Result<(Reached, Progress)> {
        let reached = self.appender.finish().await?;
        let is_folded = self.progress.appended == 0 || !self.log_identity.is_replaced().await?;
        anyhow::ensure!(is_folded, wait::LOG_REPLACED);
        Ok((reached, self.progress))
    }
}

/// Nothing is appended to a log that nobody folds.
fn refused(appended: u64) -> String {
    let so_far = match appended {
        0 => "nothing was appended".to_owned(),
        lines => format!("{lines} lines were appended before that was known, and may still take effect"),
    };
    format!(
        "the log is not the one that was folded, so an operator must act first: {so_far}. See `rollcall projection status`, then import the \
         same lines again"
    )
}

fn log(settings: &Settings, kind: Kind) -> anyhow::Result<Log> {
    let mut config = producer_config(settings)?;
    OWN_SETTINGS.add_to(&mut config, settings);
    Log::new(config, kind.topic(settings), record_timeout(settings, DELIVERY_TIMEOUT))
}

#[cfg(test)]
mod tests;
