//! The metrics of the projector, in the registry of the process.

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
            // Registering fails only for a name that is taken, and each name is registered only
            // here.
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
    /// Age of the last folded record, while later records wait.
    LAG_SECONDS: GaugeVec = register_gauge_vec!("rollcall_projector_lag_seconds", "Age of the last folded record in seconds, 0 at the end of the log", &["topic", "partition"]);
    /// Offsets behind an open transaction.
    OPEN_OFFSETS: IntGaugeVec = register_int_gauge_vec!("rollcall_projector_open_transaction_offsets", "Offsets that can't be read until a producer ends its transaction", &["topic", "partition"]);
    /// Age of that transaction.
    OPEN_SECONDS: GaugeVec = register_gauge_vec!("rollcall_projector_open_transaction_seconds", "How long this projector has seen that transaction open", &["topic", "partition"]);
    /// The owners of partitions.
    OWNED: IntGaugeVec = register_int_gauge_vec!("rollcall_projector_owned", "1 if this instance owns the partition", &["topic", "partition", "instance"]);
    /// Parked users.
    PARKED_USERS: IntGauge = register_int_gauge!("rollcall_parked_users", "Users whose events are not folded until an operator acts; the same for every projector");
    /// Dead letters.
    DEAD_LETTERS: IntGaugeVec = register_int_gauge_vec!("rollcall_dead_letters", "Dead letters that wait for an operator; the same for every projector", &["topic", "reason"]);
    /// The age of the oldest dead letter.
    OLDEST_DEAD_LETTER: Gauge = register_gauge!("rollcall_dead_letters_oldest_seconds", "Age of the oldest dead letter, 0 if there is none; the same for every projector");
    /// Committed batches.
    BATCHES: IntCounter = register_int_counter!("rollcall_projector_batches_total", "Committed batches");
    /// Folded records.
    RECORDS: IntCounter = register_int_counter!("rollcall_projector_records_total", "Folded records");
    /// Time from the start of a batch to its effects.
    FOLD_SECONDS: Histogram = register_histogram!("rollcall_projector_fold_seconds", "Time to load and fold a batch", seconds());
    /// Time of a commit.
    COMMIT_SECONDS: Histogram = register_histogram!("rollcall_projector_commit_seconds", "Time to write and commit a batch, with the checks that the commit waits for", seconds());
    /// Records of unknown types.
    UNKNOWN_TYPES: IntCounter = register_int_counter!("rollcall_projector_unknown_types_total", "Records skipped because their type is unknown");
    /// Records set aside.
    PARKED: IntCounter = register_int_counter!("rollcall_projector_dead_letters_total", "Records set aside");
    /// Displaced dead letters.
    DISPLACED: IntCounter = register_int_counter!("rollcall_projector_dead_letters_displaced_total", "Dead letters of users.credentials that newer ones displaced");
    /// Events whose data key is missing.
    KEYLESS: IntCounter = register_int_counter!("rollcall_projector_missing_keys_total", "Events that can't be decrypted: their key is missing, although no event says that their user was deleted");
    /// Users without a data key.
    USERS_WITHOUT_KEY: IntGauge = register_int_gauge!("rollcall_users_without_key", "Users that exist without a key in the key store, as of this projector's last sweep");
    /// Keys that need a decision.
    UNDECIDED_KEYS: IntGauge = register_int_gauge!("rollcall_undecided_keys", "Keys for which an operator must decide whether they are needed, as of this projector's last sweep");
    /// Pending steps of erasures.
    ERASURES_PENDING: IntGauge = register_int_gauge!("rollcall_erasures_pending", "Pending steps of erasures: destroying keys in another database, and invalidating bodies in a cache that does not answer");
    /// Cut partitions.
    LOG_CUTS: IntGauge = register_int_gauge!("rollcall_log_cut_partitions", "Partitions of the log that do not begin at offset 0, if no operator has accepted it");
    /// Unsafe topic settings.
    TOPIC_FAULTS: IntGauge = register_int_gauge!("rollcall_topic_faults", "Topic settings with which events can be lost");
    /// Superseded events.
    SUPERSEDED: IntCounter = register_int_counter!("rollcall_projector_superseded_total", "Events without effect because another event had their sequence first");
    /// Rejected commits.
    FENCED: IntCounter = register_int_counter!("rollcall_projector_fenced_total", "Commits that the fence rejected");
    /// Lag of projections.
    PROJECTION_LAG: IntGaugeVec = register_int_gauge_vec!("rollcall_projection_lag_records", "Offsets that the projection's slowest generation is behind the users", &["projection"]);
    /// Failing projections.
    PROJECTION_FAILING: IntGaugeVec = register_int_gauge_vec!("rollcall_projection_failing_generations", "Generations of the projection that can't follow", &["projection"]);
    /// Failures of Redis.
    REDIS_FAILURES: IntCounter = register_int_counter!("rollcall_projector_redis_failures_total", "Requests that Redis did not answer");
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

/// Shows the lag of an owned partition. `time` is that of the last folded record.
pub(crate) fn show_lag((topic, partition): Partition, records: i64, time: Option<OffsetDateTime>) {
    let labels = [topic.as_str(), &partition.to_string()];
    LAG_RECORDS.with_label_values(&labels).set(records);
    let age = time.filter(|_| records > 0).map(|time| (OffsetDateTime::now_utc() - time).as_seconds_f64());
    LAG_SECONDS.with_label_values(&labels).set(age.unwrap_or(0.0).max(0.0));
    OWNED.with_label_values(&[labels[0], labels[1], instance::name()]).set(1);
}

/// Shows how many offsets wait behind an open transaction, and for how many seconds.
pub(crate) fn show_open((topic, partition): Partition, (offsets, seconds): (i64, f64)) {
    let labels = [topic.as_str(), &partition.to_string()];
    OPEN_OFFSETS.with_label_values(&labels).set(offsets);
    OPEN_SECONDS.with_label_values(&labels).set(seconds);
}

/// Stops showing a partition, because it is no longer owned.
pub(crate) fn hide((topic, partition): Partition) {
    let labels = [topic.as_str(), &partition.to_string()];
    // Fails only for a partition that was never shown.
    let _ = LAG_RECORDS.remove_label_values(&labels);
    let _ = LAG_SECONDS.remove_label_values(&labels);
    let _ = OPEN_OFFSETS.remove_label_values(&labels);
    let _ = OPEN_SECONDS.remove_label_values(&labels);
    let _ = OWNED.remove_label_values(&[labels[0], labels[1], instance::name()]);
}
