//! Living users whose key is missing.

use super::found::Found;
use crate::erasure::{findings::Kind, log_scan::LogScan};
use domain::codec::owner;
use events_schema::{Topic, UserKey};
use key_store::{Keys, Owner};
use read_model::operate::{
    checkpoints::users_next_offsets,
    deleted_users::{self, LivingUsers},
};
use sqlx::PgConnection;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How many users are looked up at once.
const CHUNK: usize = 1_000;
/// How long the read model may take to fold what was searched.
const LEVEL_TIMEOUT: Duration = Duration::from_secs(10);
const LEVEL_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until the read model has folded what was searched of the log. Before that, it shows users as
/// living whom the log has deleted.
pub(super) async fn wait_until_level(connection: &mut PgConnection, log: &LogScan) -> anyhow::Result<()> {
    let give_up = Instant::now() + LEVEL_TIMEOUT;
    loop {
        let next = users_next_offsets(connection).await?;
        let users = log.partitions.iter().filter(|scanned| scanned.topic == Topic::Users.as_str());
        let missing: i64 = users
            .map(|scanned| (scanned.to - next.get(&scanned.partition).copied().unwrap_or_default()).max(0))
            .sum();
        if missing == 0 {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < give_up,
            "the read model lags by {missing} records of the log, so nobody can tell who is deleted: repeat this when \
             `rollcall projection status` shows no lag"
        );
        tokio::time::sleep(LEVEL_POLL_INTERVAL).await;
    }
}

/// Reports living users whose key is missing. Returns the number of living users.
pub(super) async fn check(
    connection: &mut PgConnection,
    keys: &Keys,
    held: &HashSet<Uuid>,
    generations: &[i32],
    found: &mut Found,
) -> anyhow::Result<u64> {
    let LivingUsers { count, without_key } = deleted_users::living(connection, held).await?;
    for chunk in without_key.chunks(CHUNK) {
        // Checked again: a key may have been made, and a user deleted, since the key store was read.
        let owners: Vec<Owner> = chunk.iter().map(|(user, _)| owner(user)).collect();
        let there = keys.get_many(&owners).await?;
        let is_missing =
            |(user, id): &&(UserKey, Uuid)| there.get(&owner(user)).is_none_or(|key| key.id() != *id);
        let missing: Vec<_> = chunk.iter().filter(is_missing).map(|(user, _)| user.clone()).collect();
        let missing = deleted_users::still_living(connection, &missing).await?;
        report_without_key(connection, &missing, "the key store", generations, found).await?;
    }
    let parked = deleted_users::parked_for_key(connection).await?;
    let place = "its events wait among the dead letters";
    report_without_key(connection, &parked, place, generations, found).await?;
    Ok(count)
}

/// A log or a read model that was restored from before a deletion shows the user as living. Its key
/// must not be restored too.
async fn report_without_key(
    connection: &mut PgConnection,
    users: &[UserKey],
    place: &str,
    generations: &[i32],
    found: &mut Found,
) -> anyhow::Result<()> {
    let mut deleted = HashMap::new();
    for generation in generations {
        let users = deleted_users::deleted_in(connection, *generation, users).await?;
        deleted.extend(users.into_iter().map(|user| (user, *generation)));
    }
    for user in users {
        match deleted.get(user) {
            Some(generation) => {
                found.add(Kind::DeletedElsewhere, user, format_args!("generation {generation}"));
            }
            None => found.add(Kind::MissingKey, user, place),
        }
    }
    Ok(())
}
