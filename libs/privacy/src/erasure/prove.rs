//! The proof for one user.

mod logged;
mod traces;

use super::{
    analytics_scan, cache_scan,
    content::SealedPart,
    findings::{Findings, Kind},
    key_trials::{self, Trials},
    log_scan, old_key_store,
    report::{AnalyticsScan, CacheScan, EventCounts, OldKeyStoreScan, Proof},
};
use crate::{connection::connect, progress::ScanProgress};
use anyhow::Context as _;
use domain::codec::owner;
use events_schema::{UserKey, millis};
use key_store::Keys;
use logged::Logged;
use read_model::operate::{checkpoints::users_next_offsets, logs::discarded_of_live};
use service_kit::settings::Settings;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use traces::Traces;

/// How long a process may take to drop a key from its memory. It does so within seconds, unless it is
/// dead.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Searches every place for what is kept of a user.
///
/// # Errors
/// A place can't be searched completely, so nothing is proved.
pub async fn prove(
    settings: &Settings,
    user: &UserKey,
    mut progress: impl FnMut(ScanProgress),
) -> anyhow::Result<Proof> {
    let started_at = millis(OffsetDateTime::now_utc());
    let mut findings = Findings::default();
    let mut connection = connect(settings).await?;
    // Loaded before the log is read, so that the scan covers everything that is folded by now.
    let folded = users_next_offsets(&mut connection).await?;
    anyhow::ensure!(!folded.is_empty(), "there is no live generation: run `rollcall migrate` first");
    let mut logged = Logged::new(discarded_of_live(&mut connection).await?);
    let log = log_scan::scan(settings, &mut progress, |record| {
        logged.take(record, user);
        Ok(())
    })
    .await?;
    let Trials { counts: keys, mut readable } = try_keys(settings, user, &logged, &mut progress).await?;
    let old_key_store = scan_old_key_store(settings, user, &logged, &mut readable, &mut findings).await?;
    logged.report(&readable, &mut findings);
    let traces = Traces::load(&mut connection, user, &mut progress).await?;
    let cache = scan_cache(settings, user, &mut findings, &mut progress).await?;
    let analytics = scan_analytics(settings, user, &logged, &mut findings, &mut progress).await?;
    traces.report(&logged, &folded, &mut findings);
    check_key(settings, user, keys.is_there, &traces, &logged, &mut findings).await?;
    Ok(Proof {
        tenant_id: user.tenant.clone(),
        user_id: user.user,
        verdict: traces.verdict(&logged, findings.is_empty(), keys.is_there),
        started_at,
        ended_at: millis(OffsetDateTime::now_utc()),
        tombstone: traces.tombstone,
        log,
        events: EventCounts { opened: u64::try_from(readable.len())?, ..logged.counts },
        credentials: logged.credentials,
        discarded: logged.discarded,
        keys,
        old_key_store,
        generations: traces.generations,
        projections: traces.projections,
        pending_steps: traces.pending_steps,
        cache,
        analytics,
        findings: findings.into_vec(),
    })
}

async fn try_keys(
    settings: &Settings,
    user: &UserKey,
    logged: &Logged,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<Trials> {
    let parts: Vec<&SealedPart> = logged.sealed.iter().map(|(_, part)| part).collect();
    key_trials::try_all(&Keys::open(settings)?, &owner(user), &parts, progress).await
}

/// A key that is left in the old key store can still open what is sealed under it, for anybody who has
/// its master key.
async fn scan_old_key_store(
    settings: &Settings,
    user: &UserKey,
    logged: &Logged,
    readable: &mut BTreeSet<usize>,
    findings: &mut Findings,
) -> anyhow::Result<Option<OldKeyStoreScan>> {
    let Some((scan, own)) = old_key_store::scan(settings, &owner(user)).await? else { return Ok(None) };
    if let Some(own) = own {
        findings.add(Kind::Key, old_key_store::PLACE);
        let parts = (0..).zip(&logged.sealed);
        let is_under_own = |part: &SealedPart| part.key_id == Some(own.id);
        readable.extend(parts.filter(|(_, (_, part))| is_under_own(part)).map(|(n, _)| n));
    }
    Ok(Some(scan))
}

/// A key without an event belongs to a create that never reached the log. It opens nothing.
async fn check_key(
    settings: &Settings,
    user: &UserKey,
    is_there: bool,
    traces: &Traces,
    logged: &Logged,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    if is_there && (traces.is_known() || logged.counts.events > 0) {
        findings.add(Kind::Key, "the key store");
    }
    if traces.tombstone.is_some() && !is_there {
        let keys = Keys::open(settings)?;
        if !keys.is_destroyed(&owner(user), Instant::now() + EVICTION_TIMEOUT).await {
            findings.add(Kind::KeyInMemory, "a process that has not confirmed that it dropped the key");
        }
    }
    Ok(())
}

async fn scan_analytics(
    settings: &Settings,
    user: &UserKey,
    logged: &Logged,
    findings: &mut Findings,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<AnalyticsScan> {
    let scan = analytics_scan::scan(settings, user, logged.requests.clone(), progress).await?;
    for event in scan.about.iter().filter(|event| event.is_personal) {
        findings.add(Kind::AnalyticEvents, &event.place);
    }
    Ok(scan.counts)
}

async fn scan_cache(
    settings: &Settings,
    user: &UserKey,
    findings: &mut Findings,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<CacheScan> {
    let found = cache_scan::scan(settings, |other| other == user, progress).await;
    let found = found.context("can't scan Redis")?;
    for (_, generation) in &found.bodies {
        findings.add(Kind::CachedBodies, format_args!("generation {generation}"));
    }
    let bodies = u64::try_from(found.bodies.len())?;
    Ok(CacheScan { keys: found.keys, bodies, invalidations: found.invalidations })
}
