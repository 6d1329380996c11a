//! The user named by a record's key owns it, whatever partition it is in and however the id is
//! spelled. It is listed as the user's, deleted with the user, and not stored after that.

use super::bench::{Bench, Created, PARTITIONS, texts};
use serde_json::Value;
use std::collections::BTreeSet;
use tests::{Foreign, Stack, until};

/// Personal data that a malformed record could contain.
const SAYS: &str = r#"{"name":"somebody's name"}"#;

pub async fn a_delete_removes_every_dead_letter_of_its_user(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let (user, other) = (bench.create().await, bench.create().await);
    let first = all_kinds(&bench, &user).await;
    let kept = all_kinds(&bench, &other).await;
    until("all of it is set aside", async || (bench.letters().len() == first + kept).then_some(())).await;
    assert_eq!(bench.letters_of(&user).len(), first);
    let reasons: BTreeSet<_> = texts(&bench.letters_of(&user), "reason").into_iter().collect();
    assert_eq!(reasons, ["bad-data", "record-key-spelling", "wrong-partition"].map(str::to_owned).into());
    bench.goes_on(&user).await;

    bench.api.delete(&user.id).await.expect(204);
    assert_eq!(bench.letters_of(&user), Vec::<Value>::new(), "nothing is left once the delete is answered");
    assert_eq!(bench.letters_of(&other).len(), kept, "and other users keep theirs");

    // Later records are not stored at all.
    all_kinds(&bench, &user).await;
    assert_eq!(bench.letters().len(), kept);
    bench.goes_on(&other).await;
}

/// The advisory lock of deletions, and of storing records outside of their user's partition.
const STRAYS_LOCK: i64 = 0x726f_6c6c_7374_7261;

/// Another projector deletes the user, and has not committed yet when the record is folded.
pub async fn stray_records_are_not_kept_during_a_delete(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let user = bench.create().await;
    let mut deletion = bench.deployment.database.begin().await.unwrap();
    let lock = sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(STRAYS_LOCK);
    lock.execute(&mut *deletion).await.unwrap();
    let tombstone = "INSERT INTO generation_1.tombstones SELECT $1, $2::uuid, 2, now(), 0, 0";
    let tombstone = sqlx::query(tombstone).bind(&bench.api.tenant).bind(&user.id);
    tombstone.execute(&mut *deletion).await.unwrap();

    let astray =
        Foreign::event(&user.key, "user.updated.v1", SAYS).into_partition((user.partition + 1) % PARTITIONS);
    let places = bench.deployment.append("users.events", &[astray]).await;
    let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    until("the projector waits for the deletion", async || {
        let waits: bool = sqlx::query_scalar(waiting).fetch_one(&bench.deployment.database).await.unwrap();
        waits.then_some(())
    })
    .await;
    deletion.commit().await.unwrap();
    until("it is folded", async || bench.is_folded("users", &places).await.then_some(())).await;
    assert_eq!(bench.letters(), Vec::<Value>::new());
}

/// Appends records that name the user and can't be folded, in all places and spellings. Returns
/// their number once they are folded.
async fn all_kinds(bench: &Bench, user: &Created) -> usize {
    let (tenant, id) = user.key.split_once('/').unwrap();
    let loud = format!("{tenant}/{}", id.to_uppercase());
    let elsewhere = (user.partition + 1) % PARTITIONS;
    let credential = || Foreign::event(&user.key, "credential.issued.v1", SAYS);
    let event = || Foreign::event(&user.key, "user.updated.v1", SAYS).header("ce_sequence", "2");
    let astray = |record: fn(Foreign, &str, i32) -> Foreign| {
        (record(event(), &loud, elsewhere), record(credential(), &loud, elsewhere))
    };
    let in_home = astray(|record, loud, elsewhere| {
        record.keyed(Some(loud)).into_partition((elsewhere + 3) % PARTITIONS)
    });
    let spelled = astray(|record, loud, elsewhere| record.keyed(Some(loud)).into_partition(elsewhere));
    let lost = astray(|record, _, elsewhere| record.into_partition(elsewhere));
    let users = [in_home.0, spelled.0, lost.0];
    let credentials = [credential(), in_home.1, spelled.1, lost.1];
    let count = users.len() + credentials.len();
    for (topic, name, records) in [
        ("users.events", "users", users.to_vec()),
        ("users.credentials", "credentials", credentials.to_vec()),
    ] {
        let places = bench.deployment.append(topic, &records).await;
        until("all of it is folded", async || bench.is_folded(name, &places).await.then_some(())).await;
    }
    count
}

impl Bench {
    /// Whether all of these records are folded.
    async fn is_folded(&self, topic: &str, places: &[(i32, i64)]) -> bool {
        let checkpoints = self.checkpoints().await;
        places.iter().all(|(partition, offset)| {
            let checkpoint =
                checkpoints.iter().find(|row| row["topic"] == topic && row["partition"] == *partition);
            checkpoint.and_then(|row| row["next_offset"].as_i64()).is_some_and(|next| next > *offset)
        })
    }
}
