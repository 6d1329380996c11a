//! Folds a batch and commits it, without the personal data of users who are deleted meanwhile.

use super::{events::Events, failed::Failed, folder::Folder};
use events_schema::UserKey;
use futures_util::FutureExt as _;
use projections::{Changes, Registered, Tables, Unfolded};
use read_model::projections::batch::{Batch, Begin, Move};
use service_kit::failpoint;
use std::{collections::BTreeSet, panic::AssertUnwindSafe, time::Duration};

/// How long a batch may hold deletions back.
const LIMIT: Duration = Duration::from_secs(1);
/// PostgreSQL's code for a statement that took too long, and for a lock that was not available.
const TOO_LONG: [&str; 2] = ["57014", "55P03"];

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is committed.
    Done,
    /// Another process has moved the checkpoints.
    FencedOff,
    /// An operator has paused the projection.
    Paused,
    /// It failed, or took too long. A smaller one may not.
    TooMuch,
}

/// How an attempt ended.
enum Attempt {
    Ended(Committed),
    /// These users are deleted, but their events are opened.
    Deleted(BTreeSet<UserKey>),
}

/// Folds a batch and commits it.
pub(super) async fn commit(
    folder: &Folder<'_>,
    moves: &Move,
    mut events: Events,
) -> anyhow::Result<Committed> {
    loop {
        let changes = fold(folder.projection, &events)?;
        let attempt = tokio::time::timeout(LIMIT, attempt(folder, moves, &events, changes));
        match attempt.await {
            Err(_) => return Ok(Committed::TooMuch),
            Ok(ended) => match ended? {
                Attempt::Ended(committed) => return Ok(committed),
                Attempt::Deleted(users) => events.erase(&users),
            },
        }
    }
}

fn fold(projection: &Registered, events: &Events) -> Result<Box<dyn Changes>, Failed> {
    projection.fold(&events.events).map_err(|Unfolded { index, refusal }| {
        let reason = refusal.map_or_else(|| "the fold panics".to_owned(), |refusal| refusal.to_string());
        Failed { record: events.places.get(index).copied(), reason }
    })
}

async fn attempt(
    folder: &Folder<'_>,
    moves: &Move,
    events: &Events,
    changes: Box<dyn Changes>,
) -> anyhow::Result<Attempt> {
    let mut batch = match Batch::begin(&folder.pool, folder.id, folder.heeds_pause, moves).await {
        Ok(batch) => batch,
        Err(Begin::FencedOff) => return Ok(Attempt::Ended(Committed::FencedOff)),
        Err(Begin::Paused) => return Ok(Attempt::Ended(Committed::Paused)),
        Err(Begin::Sql(error)) => return too_long_or(error),
    };
    let deleted = batch.deleted_among(events.personal_users()).await?;
    if events.has_opened(&deleted) {
        batch.rollback().await?;
        return Ok(Attempt::Deleted(deleted));
    }
    if let Some(at) = events.keyless(&deleted) {
        return Err(Failed::at(at, "the data key of a living user is missing").into());
    }
    let schema = folder.id.schema();
    let mut tables = Tables::new(batch.connection(), &schema);
    match AssertUnwindSafe(changes.apply(&mut tables)).catch_unwind().await {
        Err(_) => return Err(only(events, "applying it panics").into()),
        Ok(Err(error)) => return too_long_or(error).map_err(|error| in_record(events, error)),
        Ok(Ok(())) => {}
    }
    let personal = folder.projection.tables.iter().filter(|table| table.is_personal);
    let personal: Vec<&str> = personal.map(|table| table.name).collect();
    batch.forget(folder.id, &personal, &events.deleted()).await?;
    failpoint::hit("projection.applied");
    batch.commit().await?;
    failpoint::hit("projection.committed");
    Ok(Attempt::Ended(Committed::Done))
}

fn too_long_or(error: sqlx::Error) -> anyhow::Result<Attempt> {
    let code = error.as_database_error().and_then(|error| error.code());
    match code {
        Some(code) if TOO_LONG.contains(&code.as_ref()) => Ok(Attempt::Ended(Committed::TooMuch)),
        _ => Err(error.into()),
    }
}

/// Smaller batches find the record. This one may be the only one.
fn only(events: &Events, reason: &str) -> Failed {
    Failed { record: events.places.first().copied(), reason: reason.to_owned() }
}

fn in_record(events: &Events, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<sqlx::Error>() {
        Some(error) => only(events, &Failed::sql(error).reason).into(),
        None => error,
    }
}
