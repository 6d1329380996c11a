//! Exports everything that is stored about one user: the right of access.

mod read_model;
mod records;
mod report;

pub use report::{
    AnalyticEvent, Credential, CredentialFact, CurrentUser, DeadLetter, Event, Export, KeyId, ProjectionRow,
};

use crate::{
    connection::connect,
    erasure::{Tombstone, scan_analytics, scan_log},
    progress::ScanProgress,
};
use ::read_model::operate::{checkpoints::users_next_offsets, user_traces};
use domain::codec::owner;
use event_log::{
    cuts::{Cut, describe_cuts},
    record_owner::named_users,
};
use events_schema::{Topic, UserKey, millis};
use key_store::{DataKey, Keys};
use records::{credential_fact, event};
use service_kit::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// Collects everything that is stored about a user. `None` if no such user was ever recorded.
///
/// # Errors
/// A place can't be read completely.
pub async fn export(
    settings: &Settings,
    user: &UserKey,
    mut progress: impl FnMut(ScanProgress),
) -> anyhow::Result<Option<Export>> {
    let mut connection = connect(settings).await?;
    // Loaded before the log is read, so that every folded event is in the export.
    let folded = users_next_offsets(&mut connection).await?;
    let key = Keys::open(settings)?.of(&owner(user)).await?;
    let logged = read_log(settings, user, key.as_deref(), &mut progress).await?;
    let mut export = with_read_model(&mut connection, user, &folded, logged).await?;
    export.key = key.map(|key| KeyId { id: key.id() });
    if !export.is_known() {
        let cuts = &export.cuts;
        anyhow::ensure!(cuts.is_empty(), "nothing is known of the user {user}, but {}", describe_cuts(cuts));
        return Ok(None);
    }
    export.incomplete = export.unread();
    export.complete = export.incomplete.is_none();
    export.analytic_events = analytic_events(settings, user, &export.events, &mut progress).await?;
    Ok(Some(export))
}

/// The user's records in the log, in their order.
struct Logged {
    events: Vec<Event>,
    credential_facts: Vec<CredentialFact>,
    cuts: Vec<Cut>,
}

async fn read_log(
    settings: &Settings,
    user: &UserKey,
    key: Option<&DataKey>,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<Logged> {
    let (mut events, mut credential_facts) = (Vec::new(), Vec::new());
    let log = scan_log(settings, progress, |record| {
        if named_users(&record.raw).any(|named| named == *user) {
            match record.partition.0 {
                Topic::Users => events.push(event(record, key)),
                Topic::Credentials => credential_facts.push(credential_fact(record)),
            }
        }
        Ok(())
    });
    let cuts = log.await?.cuts;
    events.sort_unstable_by_key(|event: &Event| event.place);
    credential_facts.sort_unstable_by_key(|fact: &CredentialFact| (fact.partition, fact.offset));
    Ok(Logged { events, credential_facts, cuts })
}

/// The export without the key and the analytic events.
async fn with_read_model(
    connection: &mut sqlx::PgConnection,
    user: &UserKey,
    folded: &BTreeMap<i32, i64>,
    logged: Logged,
) -> anyhow::Result<Export> {
    let Logged { mut events, credential_facts, cuts } = logged;
    read_model::note_effects(connection, folded, &mut events).await?;
    Ok(Export {
        tenant_id: user.tenant.clone(),
        user_id: user.user,
        exported_at: millis(OffsetDateTime::now_utc()),
        complete: true,
        incomplete: None,
        cuts,
        current: read_model::current(connection, user).await?,
        tombstone: user_traces::tombstone(connection, user).await?.map(Tombstone::from),
        key: None,
        events,
        credentials: read_model::credentials(connection, user).await?,
        credential_facts,
        dead_letters: read_model::dead_letters(connection, user).await?,
        projections: read_model::projections(connection, user).await?,
        analytic_events: Vec::new(),
    })
}

impl Export {
    /// What could not be read although it was not erased, and why. `None` if everything could.
    #[must_use]
    pub fn unread(&self) -> Option<String> {
        let unread = self.events.iter().filter(|event| event.sealed == Some(true)).count();
        let events = if unread == 1 { "1 event".to_owned() } else { format!("{unread} events") };
        let sealed = match self.key {
            // Events of a deleted user are meant to be unreadable.
            _ if unread == 0 || self.tombstone.is_some() => None,
            None => Some(format!("key missing: {events} could not be opened")),
            Some(KeyId { id }) => Some(format!("{events} could not be opened with the key {id}")),
        };
        let cut = (!self.cuts.is_empty()).then(|| describe_cuts(&self.cuts));
        let reasons: Vec<_> = sealed.into_iter().chain(cut).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Whether the log or the read model knows the user. A key alone belongs to a create that never
    /// reached the log, and analytic events about an id prove no user either.
    fn is_known(&self) -> bool {
        let is_in_log = !self.events.is_empty() || !self.credential_facts.is_empty();
        let is_in_tables = self.current.is_some() || self.tombstone.is_some();
        is_in_log || is_in_tables || !self.credentials.is_empty() || !self.dead_letters.is_empty()
    }
}

async fn analytic_events(
    settings: &Settings,
    user: &UserKey,
    events: &[Event],
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<Vec<AnalyticEvent>> {
    let requests: BTreeSet<String> = events.iter().filter_map(|event| event.request_id.clone()).collect();
    let scan = scan_analytics(settings, user, requests, progress).await?;
    let event =
        |about: crate::erasure::AboutUser| AnalyticEvent { place: about.place, event: about.event.into() };
    Ok(scan.about.into_iter().map(event).collect())
}
