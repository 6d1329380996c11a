//! Checks all erasures at once, by the key ids that events name. A proof tries keys instead; an audit
//! reads the log only once.

mod found;
mod living;
mod report;

pub use report::{Audit, AuditFinding, Count};

use super::{
    analytics_scan, cache_scan,
    content::{Content, content, is_empty},
    findings::Kind,
    log_scan, old_key_store,
    report::ReadPartition,
};
use crate::{
    ORPHAN_AFTER,
    connection::connect,
    progress::{ScanProgress, Step},
};
use anyhow::Context as _;
use event_log::{
    raw::Raw,
    record::{Fact, Record},
    record_owner::named_users,
};
use events_schema::{Place, Topic, UserKey, millis};
use found::Found;
use key_store::Keys;
use read_model::{
    generation::GenerationState,
    operate::{
        deleted_users::{self, Table},
        logs::discarded_of_live,
        user_traces,
    },
    personal_tables,
};
use service_kit::settings::Settings;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap, HashSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// Searches every place for what is left of deleted users, and for living users whose key is missing.
///
/// # Errors
/// A place can't be searched completely.
pub async fn audit(settings: &Settings, mut progress: impl FnMut(ScanProgress)) -> anyhow::Result<Audit> {
    let started_at = millis(OffsetDateTime::now_utc());
    let mut connection = connect(settings).await?;
    let keys = Keys::open(settings)?;
    let mut found = Found::default();
    // Loaded before anything else is searched: everything of these users must be gone by then.
    let deleted = deleted_users::all(&mut connection).await?;
    let held = check_keys(&keys, &deleted, &mut found, &mut progress).await?;
    let old_keys = check_old_key_store(settings, &deleted, &mut found).await?;
    let undecided = crate::undecided(settings, ORPHAN_AFTER, |_| {}).await?;
    let is_held = |id: &Uuid| held.contains(id) || old_keys.as_ref().is_some_and(|ids| ids.contains_key(id));
    let discarded = discarded_of_live(&mut connection).await?;
    let log = log_scan::scan(settings, &mut progress, |record| {
        check_record(record, &deleted, &is_held, &discarded, &mut found);
        Ok(())
    })
    .await?;
    living::wait_until_level(&mut connection, &log).await?;
    let generations = check_read_model(&mut connection, &mut found, &mut progress).await?;
    let users = living::check(&mut connection, &keys, &held, &generations, &mut found).await?;
    let cache_keys = check_cache(settings, &deleted, &mut found, &mut progress).await?;
    let analytics = check_analytics(settings, &deleted, &mut found, &mut progress).await?;
    Ok(Audit {
        started_at,
        ended_at: millis(OffsetDateTime::now_utc()),
        tombstones: u64::try_from(deleted.len())?,
        users,
        keys: u64::try_from(held.len())?,
        old_keys: old_keys.map(|ids| u64::try_from(ids.len())).transpose()?,
        undecided,
        log,
        generations,
        cache_keys,
        analytics,
        discarded: found.discarded,
        counts: found.counts.into_iter().map(|(kind, count)| Count { kind, count }).collect(),
        findings: found.listed,
    })
}

/// Reads the ids of all keys, and reports keys of deleted users.
async fn check_keys(
    keys: &Keys,
    deleted: &HashSet<UserKey>,
    found: &mut Found,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<HashSet<Uuid>> {
    let total = keys.count().await?.iter().map(|master| master.keys).sum::<i64>().try_into()?;
    let (mut ids, mut after) = (HashSet::new(), None);
    loop {
        progress(ScanProgress { step: Step::Keys, done: u64::try_from(ids.len())?, total });
        let page = keys.page(after.as_ref()).await?;
        let Some(last) = page.last() else { return Ok(ids) };
        after = Some(last.owner.clone());
        for held in page {
            ids.insert(held.id);
            let user = UserKey { tenant: held.owner.tenant, user: held.owner.id };
            if deleted.contains(&user) {
                found.add(Kind::Key, &user, "the key store");
            }
        }
    }
}

/// Reads the keys of an old key store, and reports keys of deleted users.
async fn check_old_key_store(
    settings: &Settings,
    deleted: &HashSet<UserKey>,
    found: &mut Found,
) -> anyhow::Result<Option<HashMap<Uuid, UserKey>>> {
    let keys = old_key_store::all(settings).await?;
    for user in keys.iter().flat_map(HashMap::values).filter(|user| deleted.contains(user)) {
        found.add(Kind::Key, user, old_key_store::PLACE);
    }
    Ok(keys)
}

/// Reports what can be read of deleted users in a record of the log.
fn check_record(
    record: &Record,
    deleted: &HashSet<UserKey>,
    is_held: &impl Fn(&Uuid) -> bool,
    discarded: &BTreeSet<Place>,
    found: &mut Found,
) {
    let (topic, partition) = record.partition;
    let place = format!("{topic}:{partition}:{}", record.offset);
    for user in named_users(&record.raw).filter(|user| deleted.contains(user)) {
        let kind = match topic {
            Topic::Users => kind_of(&record.raw, is_held),
            // Facts are pseudonymous by contract. A record that is no fact may contain anything.
            Topic::Credentials => {
                let is_unclear = matches!(record.fact, Fact::Poison(_)) && !is_empty(&record.raw);
                is_unclear.then_some(Kind::UnclearRecords)
            }
        };
        let is_discarded = discarded.contains(&(record.partition, record.offset));
        match kind {
            Some(Kind::UnclearRecords) if is_discarded => found.discarded += 1,
            Some(kind) => found.add(kind, &user, &place),
            None => {}
        }
    }
}

fn kind_of(raw: &Raw, is_held: &impl Fn(&Uuid) -> bool) -> Option<Kind> {
    match content(raw) {
        Content::Nothing => None,
        Content::Sealed(part) => match part.key_id {
            Some(id) => is_held(&id).then_some(Kind::OpenedEvents),
            None => Some(Kind::UnclearRecords),
        },
        Content::Plain => Some(Kind::PlainEvents),
        Content::Unclear => Some(Kind::UnclearRecords),
    }
}

/// Reports what the read model holds of deleted users, and the pending steps of erasures.
async fn check_read_model(
    connection: &mut PgConnection,
    found: &mut Found,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<Vec<i32>> {
    let all = user_traces::generations(connection).await?;
    let total = u64::try_from(all.len())?;
    for (done, (generation, state)) in (0..).zip(&all) {
        progress(ScanProgress { step: Step::ReadModel, done, total });
        let place = format!("generation {generation} ({})", state.map_or("unknown", GenerationState::as_str));
        for (table, user) in deleted_users::remains(connection, *generation).await? {
            let kind = match table {
                Table::Users => Kind::UserRow,
                Table::Postings => Kind::Postings,
                Table::Credentials => Kind::Credentials,
                Table::DeadLetters => Kind::DeadLetters,
            };
            found.add(kind, &user, &place);
        }
    }
    for table in personal_tables::tables(connection).await? {
        for user in personal_tables::remains(connection, &table).await? {
            found.add(Kind::ProjectionRows, &user, table.name());
        }
    }
    for (user, step) in deleted_users::pending_steps(connection).await? {
        found.add(Kind::PendingSteps, &user, step);
    }
    Ok(all.into_iter().map(|(generation, _)| generation).collect())
}

async fn check_cache(
    settings: &Settings,
    deleted: &HashSet<UserKey>,
    found: &mut Found,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<u64> {
    let cached = cache_scan::scan(settings, |user| deleted.contains(user), progress);
    let cached = cached.await.context("can't scan Redis")?;
    for (user, generation) in &cached.bodies {
        found.add(Kind::CachedBodies, user, format_args!("generation {generation}"));
    }
    Ok(cached.keys)
}

/// Reports personal events that name a deleted user. The START of a create names nobody; a proof finds
/// it by its request.
async fn check_analytics(
    settings: &Settings,
    deleted: &HashSet<UserKey>,
    found: &mut Found,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<Vec<ReadPartition>> {
    let check = |place, value: Vec<u8>| {
        let user = analytics_scan::user_of_personal_event(&value);
        if let Some(user) = user.filter(|user| deleted.contains(user)) {
            found.add(Kind::AnalyticEvents, &user, place);
        }
    };
    analytics_scan::read_all(settings, progress, check).await
}
