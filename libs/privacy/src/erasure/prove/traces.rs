//! What the read model holds of a user.

use super::{
    super::{
        findings::{Findings, Kind},
        report::{GenerationTraces, Place, ProjectionTraces, Tombstone, Verdict},
    },
    logged::Logged,
};
use crate::progress::{ScanProgress, Step};
use events_schema::UserKey;
use read_model::{
    generation::GenerationState,
    operate::user_traces::{self, UserTraces},
    personal_tables,
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// The user's traces in all generations.
pub(super) struct Traces {
    pub(super) tombstone: Option<Tombstone>,
    pub(super) generations: Vec<GenerationTraces>,
    pub(super) projections: Vec<ProjectionTraces>,
    pub(super) pending_steps: Vec<String>,
}

impl Traces {
    pub(super) async fn load(
        connection: &mut PgConnection,
        user: &UserKey,
        progress: &mut impl FnMut(ScanProgress),
    ) -> anyhow::Result<Self> {
        let tombstone = user_traces::tombstone(connection, user).await?.map(Tombstone::from);
        let all = user_traces::generations(connection).await?;
        let (mut generations, total) = (Vec::new(), u64::try_from(all.len())?);
        for (done, (generation, state)) in (0..).zip(all) {
            progress(ScanProgress { step: Step::ReadModel, done, total });
            let traces = user_traces::traces(connection, generation, user).await?;
            generations.push(GenerationTraces::new(generation, state, traces));
        }
        let projections = projections(connection, user).await?;
        let pending_steps = user_traces::pending_steps(connection, user).await?;
        Ok(Self { tombstone, generations, projections, pending_steps })
    }

    fn live(&self) -> Option<&GenerationTraces> {
        self.generations.iter().find(|generation| generation.state == Some(GenerationState::Live))
    }

    fn is_alive(&self) -> bool {
        self.live().is_some_and(|live| live.users + live.blanked > 0)
    }

    fn is_parked(&self) -> bool {
        self.live().is_some_and(|live| live.is_parked)
    }

    /// Whether the user lives or was deleted.
    pub(super) fn is_known(&self) -> bool {
        self.tombstone.is_some() || self.is_alive()
    }

    /// Reports what is left in the read model, and events that it has not folded.
    pub(super) fn report(&self, logged: &Logged, folded: &BTreeMap<i32, i64>, findings: &mut Findings) {
        for traces in &self.generations {
            let state = traces.state.map_or("unknown", GenerationState::as_str);
            let place = format!("generation {} ({state})", traces.generation);
            // Facts about credentials of an unknown user are kept: the user may still be created.
            let credentials = if self.is_known() { traces.credentials } else { 0 };
            for (kind, count) in [
                (Kind::UserRow, traces.users),
                (Kind::Postings, traces.postings),
                (Kind::Credentials, credentials),
                (Kind::DeadLetters, traces.dead_letters),
            ] {
                findings.add_many(kind, count.unsigned_abs(), &place);
            }
        }
        for traces in &self.projections {
            findings.add_many(Kind::ProjectionRows, traces.rows.unsigned_abs(), &traces.table);
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

    pub(super) fn verdict(&self, logged: &Logged, is_nothing_found: bool, is_key_there: bool) -> Verdict {
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
            debug_assert!(logged.places.is_empty(), "events of an unknown user are findings");
            Verdict::NeverThere
        }
    }
}

async fn projections(connection: &mut PgConnection, user: &UserKey) -> sqlx::Result<Vec<ProjectionTraces>> {
    let mut all = Vec::new();
    for table in personal_tables::tables(connection).await? {
        let rows = personal_tables::count(connection, &table, user).await?;
        all.push(ProjectionTraces { table: table.name().to_owned(), state: table.state, rows });
    }
    Ok(all)
}

impl GenerationTraces {
    fn new(generation: i32, state: Option<GenerationState>, traces: UserTraces) -> Self {
        let UserTraces { users, blanked, postings, credentials, dead_letters, is_parked, has_tombstone } =
            traces;
        Self {
            generation,
            state,
            users,
            blanked,
            postings,
            credentials,
            dead_letters,
            is_parked,
            has_tombstone,
        }
    }
}
