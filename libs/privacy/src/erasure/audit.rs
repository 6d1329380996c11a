//! All erasures at once, by key ids: what one proof finds by trying, this finds in one reading of the log.

mod rows;

use super::{
    analytics_scan, cache_scan,
    content::{Content, content, is_empty},
    discarded::Discarded,
    findings::Kind,
    former_keys,
    log_scan::{self, LogScan},
    report::ReadPartition,
    rows as of_one,
};
use crate::progress::{LookProgress, Step};
use crate::{ORPHAN_AFTER, Undecided};
use anyhow::Context as _;
use domain::codec::owner;
use event_log::{
    raw::Raw,
    record::{Fact, Record},
    record_owner::named_users,
};
use events_schema::{TenantId, Timestamp, Topic, UserKey, millis};
use key_store::{Keys, Owner};
use service_kit::settings::Settings;
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// Findings that are listed, at most; all are counted.
const LISTED: usize = 1_000;
/// Users that are asked about at once.
const CHUNK: usize = 1_000;

/// What was looked at for all deleted users, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// When it was begun.
    pub started_at: Timestamp,
    /// When it was done.
    pub ended_at: Timestamp,
    /// Deleted users.
    pub tombstones: u64,
    /// Living users.
    pub users: u64,
    /// Keys in the key store.
    pub keys: u64,
    /// Keys in a former key store that was left behind in the read model's database, if there is one.
    pub former_keys: Option<u64>,
    /// Keys of which nobody can tell whether they are needed: what is sealed under them is in another log, or nowhere.
    pub undecided: Undecided,
    /// What was read of the log.
    pub log: LogScan,
    /// Generations of the read model.
    pub generations: Vec<i32>,
    /// Keys of Redis that were looked at.
    pub cache_keys: u64,
    /// What was read of the analytics topic.
    pub analytics: Vec<ReadPartition>,
    /// Records of deleted users that can't be read, and that an operator has discarded.
    pub discarded: u64,
    /// How much of each kind was found.
    pub counts: Vec<Count>,
    /// What was found, the first thousand of it.
    pub findings: Vec<AuditFinding>,
}

/// How much of a kind was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    /// The kind.
    pub kind: Kind,
    /// How many there are.
    pub count: u64,
}

/// Something that should not be there, or should.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditFinding {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Whose it is.
    pub user_id: Uuid,
    /// Where it is.
    pub place: String,
}

impl Audit {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }
}

/// What is found, while it is looked for.
#[derive(Default)]
struct Found {
    counts: BTreeMap<Kind, u64>,
    listed: Vec<AuditFinding>,
    discarded: u64,
}

impl Found {
    fn add(&mut self, kind: Kind, user: &UserKey, place: impl fmt::Display) {
        *self.counts.entry(kind).or_default() += 1;
        if self.listed.len() < LISTED {
            self.listed.push(AuditFinding {
                kind,
                tenant_id: user.tenant.clone(),
                user_id: user.user,
                place: place.to_string(),
            });
        }
    }
}

/// Looks everywhere for what is left of deleted users, and for living ones whose key is missing.
///
/// # Errors
/// A place can't be looked at as a whole.
pub async fn audit(settings: &Settings, mut progress: impl FnMut(LookProgress)) -> anyhow::Result<Audit> {
    let started_at = millis(OffsetDateTime::now_utc());
    let mut connection = of_one::connection(settings).await?;
    let keys = Keys::open(settings)?;
    let mut found = Found::default();
    // First of all: of these users everything must be gone before anything else is looked at.
    let gone = rows::tombstones(&mut connection).await?;
    let held = look_at_keys(&keys, &gone, &mut found, &mut progress).await?;
    let former = look_at_former(settings, &gone, &mut found).await?;
    let undecided = crate::undecided(settings, ORPHAN_AFTER, |_| {}).await?;
    let is_held = |id: &Uuid| held.contains(id) || former.as_ref().is_some_and(|ids| ids.contains_key(id));
    let discarded = Discarded::load(&mut connection).await?;
    let log = log_scan::read(settings, &mut progress, |record| {
        look_at_record(record, &gone, &is_held, &discarded, &mut found);
        Ok(())
    })
    .await?;
    let generations = look_at_rows(&mut connection, &mut found, &mut progress).await?;
    let users = look_for_keys(&mut connection, &keys, &held, &mut found).await?;
    let cache_keys = look_at_cache(settings, &gone, &mut found, &mut progress).await?;
    let analytics = look_at_analytics(settings, &gone, &mut found, &mut progress).await?;
    Ok(Audit {
        started_at,
        ended_at: millis(OffsetDateTime::now_utc()),
        tombstones: u64::try_from(gone.len())?,
        users,
        keys: u64::try_from(held.len())?,
        former_keys: former.map(|ids| u64::try_from(ids.len())).transpose()?,
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

/// The ids of all keys; those of deleted users are told.
async fn look_at_keys(
    keys: &Keys,
    gone: &HashSet<UserKey>,
    found: &mut Found,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<HashSet<Uuid>> {
    let total = keys.count().await?.iter().map(|master| master.keys).sum::<i64>().try_into()?;
    let (mut ids, mut after) = (HashSet::new(), None);
    loop {
        progress(LookProgress { step: Step::Keys, done: u64::try_from(ids.len())?, total });
        let page = keys.page(after.as_ref()).await?;
        let Some(last) = page.last() else { return Ok(ids) };
        after = Some(last.owner.clone());
        for held in page {
            ids.insert(held.id);
            let user = UserKey { tenant: held.owner.tenant, user: held.owner.id };
            if gone.contains(&user) {
                found.add(Kind::Key, &user, "the key store");
            }
        }
    }
}

/// The keys in a former key store; those of deleted users are told.
async fn look_at_former(
    settings: &Settings,
    gone: &HashSet<UserKey>,
    found: &mut Found,
) -> anyhow::Result<Option<HashMap<Uuid, UserKey>>> {
    let former = former_keys::all(settings).await?;
    for user in former.iter().flat_map(HashMap::values).filter(|user| gone.contains(user)) {
        found.add(Kind::Key, user, former_keys::PLACE);
    }
    Ok(former)
}

/// Tells what can be read of deleted users in a record of the log.
fn look_at_record(
    record: &Record,
    gone: &HashSet<UserKey>,
    is_held: &impl Fn(&Uuid) -> bool,
    discarded: &Discarded,
    found: &mut Found,
) {
    let (topic, partition) = record.partition;
    let place = format!("{topic}:{partition}:{}", record.offset);
    for user in named_users(&record.raw).filter(|user| gone.contains(user)) {
        let kind = match topic {
            Topic::Users => kind_of(&record.raw, is_held),
            // The contract is about facts: what is none may say anything.
            Topic::Credentials => {
                let is_unclear = matches!(record.fact, Fact::Poison(_)) && !is_empty(&record.raw);
                is_unclear.then_some(Kind::UnclearRecords)
            }
        };
        match kind {
            Some(Kind::UnclearRecords) if discarded.has(record) => found.discarded += 1,
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

/// Tells what the read model holds of deleted users, and which steps of erasures are still to be done.
async fn look_at_rows(
    connection: &mut PgConnection,
    found: &mut Found,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<Vec<i32>> {
    let all = of_one::generations(connection).await?;
    let total = u64::try_from(all.len())?;
    for (done, (generation, state)) in (0..).zip(&all) {
        progress(LookProgress { step: Step::ReadModel, done, total });
        let place = format!("generation {generation} ({})", state.as_deref().unwrap_or("unknown"));
        for (kind, user) in rows::left_in(connection, *generation).await? {
            found.add(kind, &user, &place);
        }
    }
    for (user, step) in rows::pending_steps(connection).await? {
        found.add(Kind::PendingSteps, &user, step);
    }
    Ok(all.into_iter().map(|(generation, _)| generation).collect())
}

async fn look_at_cache(
    settings: &Settings,
    gone: &HashSet<UserKey>,
    found: &mut Found,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<u64> {
    let cached = cache_scan::look(settings, |user| gone.contains(user), progress);
    let cached = cached.await.context("Redis can't be looked at")?;
    for (user, generation) in &cached.bodies {
        found.add(Kind::CachedBodies, user, format_args!("generation {generation}"));
    }
    Ok(cached.keys)
}

/// Tells the events that name a deleted user and say more than ids. The START of a create names nobody: a proof finds it by its request.
async fn look_at_analytics(
    settings: &Settings,
    gone: &HashSet<UserKey>,
    found: &mut Found,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<Vec<ReadPartition>> {
    let told = |place, value: Vec<u8>| {
        if let Some(user) = analytics_scan::told_of(&value).filter(|user| gone.contains(user)) {
            found.add(Kind::AnalyticEvents, &user, place);
        }
    };
    analytics_scan::read_all(settings, progress, told).await
}

/// Tells which living users have no key; says how many users live.
async fn look_for_keys(
    connection: &mut PgConnection,
    keys: &Keys,
    held: &HashSet<Uuid>,
    found: &mut Found,
) -> anyhow::Result<u64> {
    let (users, without) = rows::living(connection, held).await?;
    for chunk in without.chunks(CHUNK) {
        // Once more: a key may have been made, and a user deleted, after the key store was read.
        let owners: Vec<Owner> = chunk.iter().map(|(user, _)| owner(user)).collect();
        let there = keys.get_many(&owners).await?;
        let is_missing =
            |(user, id): &&(UserKey, Uuid)| there.get(&owner(user)).is_none_or(|key| key.id() != *id);
        let missing: Vec<_> = chunk.iter().filter(is_missing).map(|(user, _)| user.clone()).collect();
        for user in rows::still_living(connection, &missing).await? {
            found.add(Kind::MissingKey, &user, "the key store");
        }
    }
    for user in rows::waiting_for_keys(connection).await? {
        found.add(Kind::MissingKey, &user, "its events wait among the dead letters");
    }
    Ok(users)
}
