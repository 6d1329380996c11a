//! Reads the whole log once, up to the end that it had when the scan started.

use crate::progress::{ScanProgress, Step};
use anyhow::Context as _;
use event_log::{
    cuts::{self, Cut},
    identity::{self, LogIdentity},
    log_ends,
    raw::Raw,
    record::Record,
    replay::{self, replay},
};
use events_schema::{Partition, Timestamp, Topic};
use service_kit::settings::Settings;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt::Write as _};

/// What was read of the log. Anybody who has the log can repeat the scan and compare the digest.
///
/// The digest of a partition is the SHA-256 of its records, in their order. Each record contributes the
/// offset and Kafka's time in milliseconds (-1 if there is none), 8 bytes each; the key; the value; the
/// number of headers, 4 bytes; and the name and value of each header. Numbers are big-endian. Bytes are
/// preceded by their length in 4 bytes; a missing key or value is `FF FF FF FF` alone.
///
/// The digest of the whole is the SHA-256 of one line for each partition, `users` before `credentials`,
/// then by number: `<topic> <partition> <from> <to> <digest of the partition>` and a line feed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogScan {
    /// Records that were read.
    pub records: u64,
    /// SHA-256 of the scanned range, in lower-case hex digits.
    pub digest: String,
    /// The partitions of both topics.
    pub partitions: Vec<ScannedPartition>,
    /// Partitions whose beginning is lost, so that it could not be read.
    pub cuts: Vec<Cut>,
}

/// What was read of a partition.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScannedPartition {
    /// `users` or `credentials`.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last one.
    pub to: i64,
    /// Records in this range.
    pub records: u64,
    /// SHA-256 of these records, in lower-case hex digits.
    pub digest: String,
}

/// A partition that is being read.
struct RunningScan {
    from: i64,
    to: i64,
    records: u64,
    digest: Sha256,
}

/// Reads the log and passes each record to `each`. Records of one partition come in their order.
///
/// # Errors
/// Kafka fails, the log is not the one that was folded, or the topics are recreated meanwhile.
pub(crate) async fn scan(
    settings: &Settings,
    progress: &mut impl FnMut(ScanProgress),
    mut each: impl FnMut(&Record) -> anyhow::Result<()>,
) -> anyhow::Result<LogScan> {
    identity::check_log(settings).await.context("a scan of this log would prove nothing")?;
    let identity = LogIdentity::new(settings)?;
    let log = identity.present().await?;
    let count = log_ends::partitions(settings).await?;
    let mut running = begin(settings, count).await?;
    let ranges: BTreeMap<_, _> = running
        .iter()
        .map(|(partition, running)| (*partition, running.from..running.to))
        .filter(|(_, range)| !range.is_empty())
        .collect();
    let total = ranges.values().map(|range| range.end - range.start).sum::<i64>().try_into()?;
    let mut done = 0;
    progress(ScanProgress { step: Step::Log, done, total });
    let mut steps = replay(settings, count, ranges)?;
    while let Some(step) = steps.recv().await {
        let replay::Step::Record(record) = step? else { continue };
        if let Some(running) = running.get_mut(&record.partition) {
            running.take(&record);
        }
        each(&record)?;
        done += 1;
        progress(ScanProgress { step: Step::Log, done, total });
    }
    anyhow::ensure!(
        identity.present().await? == log,
        "the log's topics were recreated, or got more partitions, while they were read: repeat the command"
    );
    Ok(LogScan { cuts: cuts::cuts(settings).await?, ..finish(running) })
}

async fn begin(settings: &Settings, count: u32) -> anyhow::Result<BTreeMap<Partition, RunningScan>> {
    let count = i32::try_from(count)?;
    let all = Topic::ALL.into_iter().flat_map(|topic| (0..count).map(move |partition| (topic, partition)));
    let ends = log_ends::ends(settings, all.collect()).await?;
    let running = |ends: event_log::log_ends::Ends| RunningScan {
        from: ends.low,
        to: ends.high,
        records: 0,
        digest: Sha256::new(),
    };
    Ok(ends.into_iter().map(|(partition, ends)| (partition, running(ends))).collect())
}

fn finish(running: BTreeMap<Partition, RunningScan>) -> LogScan {
    let (mut whole, mut records, mut partitions) = (Sha256::new(), 0, Vec::new());
    for ((topic, partition), RunningScan { from, to, records: read, digest }) in running {
        let digest = hex(&digest.finalize());
        whole.update(format!("{topic} {partition} {from} {to} {digest}\n"));
        records += read;
        partitions.push(ScannedPartition {
            topic: topic.as_str().to_owned(),
            partition,
            from,
            to,
            records: read,
            digest,
        });
    }
    LogScan { records, digest: hex(&whole.finalize()), partitions, cuts: Vec::new() }
}

impl RunningScan {
    fn take(&mut self, record: &Record) {
        let Raw { key, value, headers } = &record.raw;
        let time = record.time.map_or(-1, Timestamp::unix_millis);
        self.records += 1;
        self.digest.update(record.offset.to_be_bytes());
        self.digest.update(time.to_be_bytes());
        self.bytes(key.as_deref());
        self.bytes(value.as_deref());
        self.digest.update(length(headers.len()));
        for (name, value) in headers {
            self.bytes(Some(name.as_bytes()));
            self.bytes(Some(value));
        }
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            None => self.digest.update([u8::MAX; 4]),
            Some(bytes) => {
                self.digest.update(length(bytes.len()));
                self.digest.update(bytes);
            }
        }
    }
}

/// Lengths in Kafka have 31 bits.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(partition: Partition, offset: i64, value: &str) -> Record {
        let headers = vec![("h".to_owned(), b"v".to_vec())];
        let raw = Raw { key: None, value: Some(value.as_bytes().to_vec()), headers };
        Record::of(partition, offset, Timestamp::from_unix_millis(1), raw, 4)
    }

    fn scan(records: &[Record]) -> LogScan {
        let new = || RunningScan { from: 0, to: 9, records: 0, digest: Sha256::new() };
        let all = [(Topic::Users, 0), (Topic::Users, 1), (Topic::Credentials, 0)];
        let mut running: BTreeMap<_, _> = all.map(|partition| (partition, new())).into();
        records.iter().for_each(|record| running.get_mut(&record.partition).unwrap().take(record));
        finish(running)
    }

    #[test]
    fn the_digest_follows_its_definition() {
        let mut bytes =
            vec![0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 0, 1, b'x'];
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, b'h', 0, 0, 0, 1, b'v']);
        let scan = scan(&[record((Topic::Users, 1), 7, "x")]);
        let (one, empty) = (hex(&Sha256::digest(&bytes)), hex(&Sha256::digest([])));
        assert_eq!(scan.partitions[1].digest, one);
        let lines = format!("users 0 0 9 {empty}\nusers 1 0 9 {one}\ncredentials 0 0 9 {empty}\n");
        assert_eq!((scan.records, scan.digest), (1, hex(&Sha256::digest(lines))));
    }

    #[test]
    fn only_the_order_within_a_partition_matters() {
        let (a, b) = (record((Topic::Users, 0), 1, "a"), record((Topic::Users, 1), 1, "b"));
        let (c, d) = (record((Topic::Users, 0), 2, "c"), record((Topic::Credentials, 0), 1, "d"));
        let one = scan(&[a.clone(), b.clone(), c.clone(), d.clone()]);
        assert_eq!(one, scan(&[d.clone(), b.clone(), a.clone(), c.clone()]));
        assert_ne!(one.digest, scan(&[c, a, b, d]).digest);
    }
}
