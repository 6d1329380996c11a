//! What the projector counts, in the process' registry.

use events_schema::{Partition, ReasonCode};
use privacy::Swept;
use prometheus::{
    Gauge, GaugeVec, Histogram, IntCounter, IntGauge, IntGaugeVec, register_gauge, register_gauge_vec,
    register_histogram, register_int_counter, register_int_gauge, register_int_gauge_vec,
};
use read_model::{RejectionReason, write::Effects};
use service_kit::instance;
use std::sync::LazyLock;
use time::OffsetDateTime;

macro_rules! metric {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $make:expr;)*) => {
        $(
            $(#[$doc])*
            // Only a second registration under the same name can fail, and each is made here alone.
            #[allow(clippy::expect_used)]
            pub(crate) static $name: LazyLock<$type> = LazyLock::new(|| $make.expect("a metric's name is registered once"));
        )*
    };
}

/// Upper bounds of durations, in seconds.
fn seconds() -> Vec<f64> {
    vec![0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
}

metric! {
    /// Records between the checkpoint and the log's end.
    LAG_RECORDS: IntGaugeVec = register_int_gauge_vec!("rollcall_projector_lag_records", "Records not folded yet", &["topic", "partition"]);
    /// Age of the last folded record, while there are records behind it.
    LAG_SECONDS: GaugeVec = register_gauge_vec!("rollcall_projector_lag_seconds", "Age of what is folded, 0 at the log's end", &["topic", "partition"]);
    /// What an open transaction holds back.
    OPEN_OFFSETS: IntGaugeVec = register_int_gauge_vec!("rollcall_projector_open_transaction_offsets", "Offsets that can't be read until a producer ends its transaction", &["topic", "partition"]);
    /// For how long.
    OPEN_SECONDS: GaugeVec = register_gauge_vec!("rollcall_projector_open_transaction_seconds", "For how long this projector has seen that transaction open", &["topic", "partition"]);
    /// Whose the partitions are.
    OWNED: IntGaugeVec = register_int_gauge_vec!("rollcall_projector_owned", "1: this instance owns the partition", &["topic", "partition", "instance"]);
    /// Users that wait.
    PARKED_USERS: IntGauge = register_int_gauge!("rollcall_parked_users", "Users of whom nothing is folded until an operator acts; every projector shows the same");
    /// Dead letters that are there.
    DEAD_LETTERS: IntGaugeVec = register_int_gauge_vec!("rollcall_dead_letters", "Dead letters that wait for an operator; every projector shows the same", &["topic", "reason"]);
    /// The age of the oldest.
    OLDEST_DEAD_LETTER: Gauge = register_gauge!("rollcall_dead_letters_oldest_seconds", "How long ago the oldest dead letter was set aside, 0 without one; every projector shows the same");
    /// Batches.
    BATCHES: IntCounter = register_int_counter!("rollcall_projector_batches_total", "Batches committed");
    /// Records.
    RECORDS: IntCounter = register_int_counter!("rollcall_projector_records_total", "Records folded");
    /// From a batch's start to its effects.
    FOLD_SECONDS: Histogram = register_histogram!("rollcall_projector_fold_seconds", "Loading, marking and folding a batch", seconds());
    /// From its effects to the commit.
    COMMIT_SECONDS: Histogram = register_histogram!("rollcall_projector_commit_seconds", "Committing a batch", seconds());
    /// Unknown types.
    UNKNOWN_TYPES: IntCounter = register_int_counter!("rollcall_projector_unknown_types_total", "Records skipped, their type is not known");
    /// Records set aside.
    PARKED: IntCounter = register_int_counter!("rollcall_projector_dead_letters_total", "Records set aside");
    /// Dead letters that went.
    DISPLACED: IntCounter = register_int_counter!("rollcall_projector_dead_letters_displaced_total", "Dead letters of users.credentials that newer ones displaced");
    /// Facts without their key.
    KEYLESS: IntCounter = register_int_counter!("rollcall_projector_missing_keys_total", "Facts that can't be read: their key is missing, and nothing says that their user was deleted");
    /// Users without their key.
    USERS_WITHOUT_KEY: IntGauge = register_int_gauge!("rollcall_users_without_key", "Living users whose key was not in the key store when this projector swept it last");
    /// Keys that nobody can judge.
    UNDECIDED_KEYS: IntGauge = register_int_gauge!("rollcall_undecided_keys", "Keys of which nobody could tell whether they are needed when this projector swept the key store last, and which only an operator decides");
    /// Steps of erasures.
    ERASURES_PENDING: IntGauge = register_int_gauge!("rollcall_erasures_pending", "Steps of erasures that are not done yet: a key in another database, a body in a cache that does not answer");
    /// Partitions without their beginning.
    LOG_CUTS: IntGauge = register_int_gauge!("rollcall_log_cut_partitions", "Partitions of the log that do not begin at offset 0, and nobody has accepted it");
    /// Settings of topics.
    TOPIC_FAULTS: IntGauge = register_int_gauge!("rollcall_topic_faults", "Settings of topics under which events can be lost");
    /// Superseded events.
    SUPERSEDED: IntCounter = register_int_counter!("rollcall_projector_superseded_total", "Events that another one came before");
    /// Refused commits.
    FENCED: IntCounter = register_int_counter!("rollcall_projector_fenced_total", "Commits that the fence refused");
    /// Redis' failures.
    REDIS_FAILURES: IntCounter = register_int_counter!("rollcall_projector_redis_failures_total", "Marks or writes that Redis did not answer");
}

/// Counts a committed batch.
pub(crate) fn count(effects: &Effects, records: usize) {
    let amount = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    BATCHES.inc();
    RECORDS.inc_by(amount(records));
    UNKNOWN_TYPES.inc_by(amount(effects.unknown));
    PARKED.inc_by(amount(effects.dead_letters.len() + effects.displaced));
    DISPLACED.inc_by(amount(effects.displaced));
    let keyless = effects.dead_letters.iter().filter(|row| row.reason.code == ReasonCode::KeyMissing);
    KEYLESS.inc_by(amount(keyless.count()));
    SUPERSEDED.inc_by(amount(
        effects.rejections.iter().filter(|row| row.reason == RejectionReason::Superseded).count(),
    ));
}

/// Shows the result of a sweep.
pub(crate) fn show_sweep(swept: &Swept) {
    USERS_WITHOUT_KEY.set(i64::try_from(swept.without_key).unwrap_or(i64::MAX));
    UNDECIDED_KEYS.set(i64::try_from(swept.waiting_for_an_operator()).unwrap_or(i64::MAX));
}

/// Shows how far a partition of ours is behind; `time` is that of the last folded record.
pub(crate) fn show_lag((topic, partition): Partition, records: i64, time: Option<OffsetDateTime>) {
    let labels = [topic.as_str(), &partition.to_string()];
    LAG_RECORDS.with_label_values(&labels).set(records);
    let age = time.filter(|_| records > 0).map(|time| (OffsetDateTime::now_utc() - time).as_seconds_f64());
    LAG_SECONDS.with_label_values(&labels).set(age.unwrap_or(0.0).max(0.0));
    OWNED.with_label_values(&[labels[0], labels[1], instance::name()]).set(1);
}

/// Shows what an open transaction holds back in a partition: how many offsets, and for how many seconds.
pub(crate) fn show_open((topic, partition): Partition, (offsets, seconds): (i64, f64)) {
    let labels = [topic.as_str(), &partition.to_string()];
    OPEN_OFFSETS.with_label_values(&labels).set(offsets);
    OPEN_SECONDS.with_label_values(&labels).set(seconds);
}

/// Shows a partition no more: it is another's now.
pub(crate) fn hide((topic, partition): Partition) {
    let labels = [topic.as_str(), &partition.to_string()];
    // Each fails only for a partition that was never shown.
    let _ = LAG_RECORDS.remove_label_values(&labels);
    let _ = LAG_SECONDS.remove_label_values(&labels);
    let _ = OPEN_OFFSETS.remove_label_values(&labels);
    let _ = OPEN_SECONDS.remove_label_values(&labels);
    let _ = OWNED.remove_label_values(&[labels[0], labels[1], instance::name()]);
}
