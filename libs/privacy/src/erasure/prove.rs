//! The proof for one user.

use super::{
    analytics_scan, cache_scan,
    content::{Content, SealedPart, content, is_empty},
    discarded::Discarded,
    findings::{Findings, Kind},
    former_keys, key_trials, log_scan,
    report::{
        AnalyticsLook, CacheLook, CredentialCounts, EventCounts, FormerLook, GenerationLook, KeysLook, Place,
        Proof, Tombstone, Verdict,
    },
    rows,
};
use crate::progress::{LookProgress, Step};
use anyhow::Context as _;
use domain::codec::owner;
use event_log::{
    record::{Fact, Record},
    record_owner::named_users,
};
use events_schema::{Topic, UserKey, millis};
use key_store::Keys;
use service_kit::settings::Settings;
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// How long a process may take to drop a key from its memory: it does so within seconds, or is gone.
const DROPPED: Duration = Duration::from_secs(10);

/// Looks everywhere for what is kept of a user.
///
/// # Errors
/// A place can't be looked at as a whole: nothing is proved then.
pub async fn prove(
    settings: &Settings,
    user: &UserKey,
    mut progress: impl FnMut(LookProgress),
) -> anyhow::Result<Proof> {
    let started_at = millis(OffsetDateTime::now_utc());
    let mut findings = Findings::default();
    let mut connection = rows::connection(settings).await?;
    // Before the log is read: what is folded by now, and lies in the log, is read there.
    let folded = rows::folded(&mut connection).await?;
    anyhow::ensure!(!folded.is_empty(), "there is no live generation: run `rollcall migrate` first");
    let mut logged = Logged::new(Discarded::load(&mut connection).await?);
    let log = log_scan::read(settings, &mut progress, |record| {
        logged.take(record, user);
        Ok(())
    })
    .await?;
    let (keys, mut opened) = look_at_keys(settings, user, &logged, &mut progress).await?;
    let former_keys = look_at_former(settings, user, &logged, &mut opened, &mut findings).await?;
    logged.tell(&opened, &mut findings);
    let model = Model::look(&mut connection, user, &mut progress).await?;
    let cache = look_at_cache(settings, user, &mut findings, &mut progress).await?;
    let analytics = look_at_analytics(settings, user, &logged, &mut findings, &mut progress).await?;
    model.tell(&logged, &folded, &mut findings);
    tell_of_key(settings, user, keys.is_there, &model, &logged, &mut findings).await?;
    Ok(Proof {
        tenant_id: user.tenant.clone(),
        user_id: user.user,
        verdict: model.verdict(&logged, findings.is_empty(), keys.is_there),
        started_at,
        ended_at: millis(OffsetDateTime::now_utc()),
        tombstone: model.tombstone,
        log,
        events: EventCounts { opened: u64::try_from(opened.len())?, ..logged.counts },
        credentials: logged.credentials,
        discarded: logged.discarded,
        keys,
        former_keys,
        generations: model.generations,
        pending_steps: model.pending_steps,
        cache,
        analytics,
        findings: findings.into_vec(),
    })
}

/// What the log has of the user.
struct Logged {
    all_discarded: Discarded,
    counts: EventCounts,
    credentials: CredentialCounts,
    sealed: Vec<(Place, SealedPart)>,
    plain: Vec<Place>,
    /// Of both topics.
    unclear: Vec<String>,
    /// Of both topics.
    discarded: Vec<String>,
    /// Of `users.events`, whatever they are; but for those that hold nothing or are dealt with.
    places: Vec<Place>,
    /// The requests that asked for them.
    requests: BTreeSet<String>,
}

impl Logged {
    fn new(all_discarded: Discarded) -> Self {
        Self {
            all_discarded,
            counts: EventCounts::default(),
            credentials: CredentialCounts::default(),
            sealed: Vec::new(),
            plain: Vec::new(),
            unclear: Vec::new(),
            discarded: Vec::new(),
            places: Vec::new(),
            requests: BTreeSet::new(),
        }
    }

    fn take(&mut self, record: &Record, user: &UserKey) {
        if !named_users(&record.raw).any(|named| named == *user) {
            return;
        }
        match record.partition.0 {
            Topic::Users => self.take_event(record),
            Topic::Credentials => self.take_credential(record),
        }
    }

    fn take_event(&mut self, record: &Record) {
        let place = Place { partition: record.partition.1, offset: record.offset };
        self.counts.events += 1;
        self.requests.extend(record.raw.header("ce_requestid").map(str::to_owned));
        let mut holds_something = !is_empty(&record.raw);
        match content(&record.raw) {
            Content::Nothing => self.counts.impersonal += 1,
            Content::Sealed(part) => {
                self.counts.sealed += 1;
                self.sealed.push((place, part));
            }
            Content::Plain => {
                self.counts.plain += 1;
                self.plain.push(place);
            }
            Content::Unclear if self.all_discarded.has(record) => {
                self.counts.discarded += 1;
                self.discarded.push(place.to_string());
                holds_something = false;
            }
            Content::Unclear => {
                self.counts.unclear += 1;
                self.unclear.push(place.to_string());
            }
        }
        self.places.extend(Some(place).filter(|_| holds_something));
    }

    /// The contract is about facts: what is none may say anything.
    fn take_credential(&mut self, record: &Record) {
        let place = || format!("credentials:{}:{}", record.partition.1, record.offset);
        self.credentials.records += 1;
        match record.fact {
            Fact::Poison(_) if is_empty(&record.raw) => self.credentials.empty += 1,
            Fact::Poison(_) if self.all_discarded.has(record) => {
                self.credentials.discarded += 1;
                self.discarded.push(place());
            }
            Fact::Poison(_) => {
                self.credentials.unclear += 1;
                self.unclear.push(place());
            }
            Fact::User(_) | Fact::Credential(_) | Fact::Unknown | Fact::Discarded => {
                self.credentials.facts += 1
            }
        }
    }

    fn tell(&self, opened: &BTreeSet<usize>, findings: &mut Findings) {
        let opened = opened.iter().filter_map(|n| self.sealed.get(*n)).map(|(place, _)| place);
        opened.for_each(|place| findings.add(Kind::OpenedEvents, place));
        self.plain.iter().for_each(|place| findings.add(Kind::PlainEvents, place));
        self.unclear.iter().for_each(|place| findings.add(Kind::UnclearRecords, place));
    }
}

async fn look_at_keys(
    settings: &Settings,
    user: &UserKey,
    logged: &Logged,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<(KeysLook, BTreeSet<usize>)> {
    let parts: Vec<&SealedPart> = logged.sealed.iter().map(|(_, part)| part).collect();
    let tried = key_trials::try_all(&Keys::open(settings)?, &owner(user), &parts, progress).await?;
    Ok((tried.look, tried.opened))
}

/// A key that is left there opens what it opened, or will once somebody has the master key of then.
async fn look_at_former(
    settings: &Settings,
    user: &UserKey,
    logged: &Logged,
    opened: &mut BTreeSet<usize>,
    findings: &mut Findings,
) -> anyhow::Result<Option<FormerLook>> {
    let Some((look, own)) = former_keys::look(settings, &owner(user)).await? else { return Ok(None) };
    if let Some(own) = own {
        findings.add(Kind::Key, former_keys::PLACE);
        let is_under_it = |(_, part): &&(Place, SealedPart)| part.key_id == Some(own.id);
        let parts = (0..).zip(&logged.sealed).filter(|(_, sealed)| is_under_it(sealed));
        opened.extend(parts.map(|(n, _)| n));
    }
    Ok(Some(look))
}

/// A key without an event is that of a create that never came to the log, and opens nothing.
async fn tell_of_key(
    settings: &Settings,
    user: &UserKey,
    is_there: bool,
    model: &Model,
    logged: &Logged,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    if is_there && (model.is_known() || logged.counts.events > 0) {
        findings.add(Kind::Key, "the key store");
    }
    if model.tombstone.is_some() && !is_there {
        let keys = Keys::open(settings)?;
        if !keys.is_destroyed(&owner(user), Instant::now() + DROPPED).await {
            findings.add(Kind::KeyInMemory, "a process that was told to drop it and has not answered");
        }
    }
    Ok(())
}

async fn look_at_analytics(
    settings: &Settings,
    user: &UserKey,
    logged: &Logged,
    findings: &mut Findings,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<AnalyticsLook> {
    let read = analytics_scan::read(settings, user, logged.requests.clone(), progress).await?;
    for event in read.about.iter().filter(|event| event.is_saying_more) {
        findings.add(Kind::AnalyticEvents, &event.place);
    }
    Ok(read.look)
}

async fn look_at_cache(
    settings: &Settings,
    user: &UserKey,
    findings: &mut Findings,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<CacheLook> {
    let found =
        cache_scan::look(settings, |of| of == user, progress).await.context("Redis can't be looked at")?;
    for (_, generation) in &found.bodies {
        findings.add(Kind::CachedBodies, format_args!("generation {generation}"));
    }
    Ok(CacheLook { keys: found.keys, bodies: u64::try_from(found.bodies.len())?, marks: found.marks })
}

/// What the read model has of the user.
struct Model {
    tombstone: Option<Tombstone>,
    generations: Vec<GenerationLook>,
    pending_steps: Vec<String>,
}

impl Model {
    async fn look(
        connection: &mut PgConnection,
        user: &UserKey,
        progress: &mut impl FnMut(LookProgress),
    ) -> anyhow::Result<Self> {
        let tombstone = rows::tombstone(connection, user).await?;
        let all = rows::generations(connection).await?;
        let (mut generations, total) = (Vec::new(), u64::try_from(all.len())?);
        for (done, (generation, state)) in (0..).zip(all) {
            progress(LookProgress { step: Step::ReadModel, done, total });
            generations.push(rows::of_user(connection, generation, state, user).await?);
        }
        let pending_steps = rows::pending_steps(connection, user).await?;
        Ok(Self { tombstone, generations, pending_steps })
    }

    fn live(&self) -> Option<&GenerationLook> {
        self.generations.iter().find(|generation| generation.state.as_deref() == Some("live"))
    }

    fn is_alive(&self) -> bool {
        self.live().is_some_and(|live| live.users + live.blanked > 0)
    }

    fn is_parked(&self) -> bool {
        self.live().is_some_and(|live| live.is_parked)
    }

    /// Whether there is, or was, such a user.
    fn is_known(&self) -> bool {
        self.tombstone.is_some() || self.is_alive()
    }

    fn tell(&self, logged: &Logged, folded: &BTreeMap<i32, i64>, findings: &mut Findings) {
        for look in &self.generations {
            let state = look.state.as_deref().unwrap_or("unknown");
            let place = format!("generation {} ({state})", look.generation);
            // Facts about credentials of nobody are kept: the user may yet come.
            let credentials = if self.is_known() { look.credentials } else { 0 };
            for (kind, count) in [
                (Kind::UserRow, look.users),
                (Kind::Credentials, credentials),
                (Kind::DeadLetters, look.dead_letters),
            ] {
                findings.add_many(kind, count.unsigned_abs(), &place);
            }
        }
        self.pending_steps.iter().for_each(|step| findings.add(Kind::PendingSteps, step));
        let is_folded =
            |place: &&Place| folded.get(&place.partition).is_some_and(|next| place.offset < *next);
        let (done, waiting): (Vec<&Place>, Vec<&Place>) = logged.places.iter().partition(is_folded);
        waiting.into_iter().for_each(|place| findings.add(Kind::UnfoldedEvents, place));
        if !self.is_known() && !self.is_parked() {
            done.into_iter().for_each(|place| findings.add(Kind::NoTombstone, place));
        }
    }

    fn verdict(&self, logged: &Logged, is_nothing_found: bool, is_key_there: bool) -> Verdict {
        if self.is_parked() && self.tombstone.is_none() {
            Verdict::Parked
        } else if self.is_alive() {
            Verdict::Alive
        } else if !is_nothing_found {
            Verdict::Left
        } else if self.tombstone.is_some() {
            Verdict::Erased
        } else if is_key_there {
            Verdict::KeyKept
        } else {
            debug_assert!(logged.places.is_empty(), "events of a user of whom nothing is there are told");
            Verdict::NeverThere
        }
    }
}
