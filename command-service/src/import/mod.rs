//! Import: appends users and credentials from JSON lines to the log.
//!
//! Whatever the read model already has is skipped, so importing the same file again appends
//! nothing.

mod appender;
mod credentials;
mod existing;
mod lines;
mod report;
mod users;
mod wait;

pub use report::{BadLine, BlockingTransaction, Progress, Report};

use crate::{
    keys::origins::Origins,
    log::{Log, Record},
};
use anyhow::Context as _;
use appender::Appender;
use domain::{
    codec::{owner, seal},
    command::NewEvent,
};
use event_log::identity_watch::IdentityCheck;
use events_schema::{Envelope, EventType, TenantId, Timestamp, UserKey, millis, personal::Personal};
use existing::{Existing, Recent};
use key_store::{DataKey, Keys, Origin, Owner, SealError};
use lines::{Line, Lines};
use service_kit::{
    database::{self, Role},
    json::{Refusal, is_utf16},
    kafka::{Topics, patience, producer_config},
    settings::Settings,
};
use std::{collections::HashMap, io::BufRead, sync::Arc, time::Duration};
use time::OffsetDateTime;
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

/// The size of a batch, in lines and in bytes. A batch is looked up and appended together.
const BATCH: usize = 1_000;
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// The maximum length of a line in bytes.
const LONGEST: usize = 256 * 1024;

/// Nobody waits for a single record here, so batches may fill up, and the log may be slow.
const LINGER: (&str, &str) = ("linger.ms", "10");
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
    let partitions = before.partitions()?;
    anyhow::ensure!(partitions > 0, "the read model has no live generation: run `rollcall migrate` first");
    let which = IdentityCheck::new(settings, pool.clone())?;
    let mut appender = Appender::new(log(settings, kind)?, partitions);
    let mut lines = Lines::new(input, LONGEST);
    let (mut progress, mut recent) = (Progress::default(), Recent::default());
    let existing = Existing { pool: &pool, tenant, kind };
    let keys = Keys::open(settings)?;
    let origin = Origins::new(pool.clone()).current().await?;
    let id_secret = keys.id_secret().await?;
    loop {
        let mut bad = Vec::new();
        let read = facts(&mut lines, tenant, kind, &id_secret, &mut progress, &mut bad)
            .context("the input can't be read")?;
        let there = existing
            .of(&read.facts)
            .await
            .context("the read model can't be queried for what exists already")?;
        let all = read.facts.len();
        let is_new = |fact: &ImportedEvent| !there.contains(&fact.identity) && recent.is_new(fact.identity);
        let new: Vec<ImportedEvent> = read.facts.into_iter().filter(is_new).collect();
        anyhow::ensure!(new.is_empty() || !which.is_another().await?, "{}", refused(progress.appended));
        progress.already_there += u64::try_from(all - new.len())?;
        for (line, record) in records(&keys, &origin, new).await? {
            appender.append(line, record).await?;
            progress.appended += 1;
        }
        on_progress(&progress, &bad);
        if read.is_end {
            break;
        }
    }
    let reached = appender.finish().await?;
    anyhow::ensure!(progress.appended == 0 || !which.is_another().await?, wait::ANOTHER_LOG);
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
    if !settings.kafka.contains_key(LINGER.0) {
        config.set(LINGER.0, LINGER.1);
    }
    Log::new(config, kind.topic(settings), patience(settings, DELIVERY_TIMEOUT))
}

/// The events of a batch of lines, and whether the input ends with it.
struct Batch {
    facts: Vec<ImportedEvent>,
    is_end: bool,
}

fn facts(
    lines: &mut Lines<impl BufRead>,
    tenant: &TenantId,
    kind: Kind,
    id_secret: &DataKey,
    progress: &mut Progress,
    bad: &mut Vec<BadLine>,
) -> std::io::Result<Batch> {
    let mut batch = Batch { facts: Vec::new(), is_end: false };
    while batch.facts.len() < BATCH && lines.bytes() - progress.bytes < BATCH_BYTES {
        let Some((number, line)) = lines.next()? else {
            batch.is_end = true;
            break;
        };
        if matches!(line, Line::Text(text) if text.trim_ascii().is_empty()) {
            continue;
        }
        progress.read += 1;
        match fact(line, tenant, kind, id_secret, number) {
            Ok(fact) => batch.facts.push(fact),
            Err(refusal) => progress.refuse(bad, number, reason(refusal)),
        }
    }
    progress.bytes = lines.bytes();
    Ok(batch)
}

fn fact(
    line: Line<'_>,
    tenant: &TenantId,
    kind: Kind,
    id_secret: &DataKey,
    number: u64,
) -> Result<ImportedEvent, Refusal> {
    match (line, kind) {
        (Line::TooLong, _) => Err(Refusal { path: String::new(), msg: "Longer than 256 KiB" }),
        (Line::Text(text), Kind::Users) => users::fact(text, tenant, id_secret, number),
        (Line::Text(text), Kind::Credentials) => credentials::fact(text, tenant, number),
    }
}

/// Names the path and what is wrong, but never the value.
fn reason(refusal: Refusal) -> String {
    match refusal {
        Refusal { path, msg } if path.is_empty() => msg.to_owned(),
        Refusal { path, msg } => format!("{path}: {msg}"),
    }
}

/// The records of these events, with their line numbers. The users' keys are stored first.
async fn records(
    keys: &Keys,
    origin: &Origin,
    facts: Vec<ImportedEvent>,
) -> anyhow::Result<Vec<(u64, Record)>> {
    let is_user = |fact: &&ImportedEvent| matches!(fact.content, Content::User(..));
    let owners: Vec<Owner> = facts.iter().filter(is_user).map(|fact| owner(&fact.key)).collect();
    let ring = if owners.is_empty() { HashMap::new() } else { keys.get_or_create(&owners, origin).await? };
    let record = |ImportedEvent { line, key, content, .. }| {
        let data_key = ring.get(&owner(&key)).map(Arc::as_ref);
        sealed(key, content, data_key).map(|record| (line, record))
    };
    Ok(facts.into_iter().map(record).collect::<Result<_, SealError>>()?)
}

fn sealed(key: UserKey, content: Content, data_key: Option<&DataKey>) -> Result<Record, SealError> {
    match content {
        Content::Credential(value) => Ok(record(key, EventType::CredentialIssued, None, None, value)),
        Content::User(created_at, personal) => {
            let event = seal(&key, 1, NewEvent::Created(created_at, personal), data_key)?;
            Ok(record(key, event.event_type(), Some(1), data_key.map(DataKey::id), event.data()))
        }
    }
}

/// A record that was not caused by a request.
fn record(
    key: UserKey,
    event_type: EventType,
    sequence: Option<u64>,
    key_id: Option<Uuid>,
    value: Vec<u8>,
) -> Record {
    let envelope = Envelope {
        id: Uuid::now_v7(),
        event_type,
        time: millis(OffsetDateTime::now_utc()),
        user: key.user,
        tenant: key.tenant.clone(),
        sequence,
        key_id,
        request_id: None,
        client_id: None,
        traceparent: None,
    };
    Record { key, headers: envelope.headers(), value }
}

#[cfg(test)]
mod tests;
