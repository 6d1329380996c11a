//! Copying one topic, and comparing the copy with it.

use super::{
    CopiedTopic, CopyPhase, CopyProgress,
    homes::{Home, Homes},
    merge::merge,
    record::{Fingerprint, SourceRecord, fingerprint, key},
    source::{Ranges, ranges, read, total},
    survey::{Split, Survey},
    writer::{Moved, Writer},
};
use events_schema::{Topic, UserKey};
use rdkafka::{Message as _, message::BorrowedMessage};
use service_kit::settings::Settings;
use std::collections::BTreeMap;

/// A topic and its copy.
pub(super) struct Job<'j> {
    pub(super) settings: &'j Settings,
    pub(super) topic: Topic,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) homes: Homes,
}

/// The records of each key, by home.
type Gathered = BTreeMap<UserKey, [Vec<SourceRecord>; 2]>;

impl Job<'_> {
    /// Copies all committed records, and then compares the copy.
    ///
    /// # Errors
    /// Kafka fails, the topic grew meanwhile, or the copy has not the same records.
    pub(super) async fn run(
        &self,
        arrived: &mut impl FnMut(Moved),
        progress: &mut impl FnMut(CopyProgress),
    ) -> anyhow::Result<CopiedTopic> {
        let ranges = ranges(self.settings, &self.from).await?;
        let split = self.survey(&ranges, progress).await?;
        let copied = self.copy(&ranges, &split, arrived, progress).await?;
        self.check_source(&ranges).await?;
        self.check_copy(copied.fingerprint, progress).await?;
        Ok(CopiedTopic {
            from: self.from.clone(),
            to: self.to.clone(),
            from_partitions: self.homes.present,
            to_partitions: self.homes.copy,
            records: copied.fingerprint.records,
            joined_users: split.keys,
            strays: copied.strays,
        })
    }

    fn show(&self, progress: &mut impl FnMut(CopyProgress), phase: CopyPhase, records: u64, total: u64) {
        progress(CopyProgress { topic: self.from.clone(), phase, records, total });
    }

    /// Finds keys whose records lie in two partitions. There are none if the number of partitions
    /// has not changed.
    async fn survey(
        &self,
        ranges: &Ranges,
        progress: &mut impl FnMut(CopyProgress),
    ) -> anyhow::Result<Split> {
        let mut survey = Survey::default();
        if self.homes.made_with != self.homes.present {
            let look = |message: &BorrowedMessage<'_>| {
                (key(message), message.partition(), message.payload_len() + message.key_len())
            };
            let (mut records, mut done) = (read(self.settings, &self.from, ranges, look)?, 0);
            while let Some(record) = records.recv().await {
                let (key, partition, bytes) = record?;
                if let Some(key) = key {
                    survey.add(&self.homes, &key, partition, bytes);
                }
                done += 1;
                self.show(progress, CopyPhase::Surveying, done, total(ranges));
            }
        }
        Ok(survey.split())
    }

    /// Copies the records in one or several passes. Each pass gathers and merges the keys of one
    /// group. The first pass also copies the records of all other keys.
    async fn copy(
        &self,
        ranges: &Ranges,
        split: &Split,
        arrived: &mut impl FnMut(Moved),
        progress: &mut impl FnMut(CopyProgress),
    ) -> anyhow::Result<Copied> {
        let mut writer = Writer::new(self.settings, &self.to)?;
        let (mut copied, mut written) = (Copied::default(), 0);
        for pass in 0..split.passes() {
            let (mut gathered, topic) = (Gathered::new(), self.topic);
            let take = move |message: &BorrowedMessage<'_>| SourceRecord::read(topic, message);
            let mut records = read(self.settings, &self.from, ranges, take)?;
            while let Some(record) = records.recv().await {
                let record = record?;
                if pass == 0 {
                    copied.count(&self.homes, &record);
                }
                match split.group(&self.homes, record.key.as_ref(), record.partition) {
                    Some(group) if group == pass => self.gather(&mut gathered, record),
                    None if pass == 0 => {
                        self.write(&mut writer, record, arrived).await?;
                        written += 1;
                    }
                    Some(_) | None => {}
                }
                self.show(progress, CopyPhase::Copying, written, total(ranges));
            }
            written += self.write_gathered(&mut writer, gathered, arrived).await?;
        }
        writer.finish(&mut *arrived).await?;
        Ok(copied)
    }

    fn gather(&self, gathered: &mut Gathered, record: SourceRecord) {
        let Some(key) = record.key.clone() else { return };
        let [first, second] = gathered.entry(key).or_default();
        match self.homes.home(record.key.as_ref(), record.partition) {
            Home::First => first.push(record),
            Home::Second | Home::Nowhere => second.push(record),
        }
    }

    /// Merges and writes gathered records. Returns how many they are.
    async fn write_gathered(
        &self,
        writer: &mut Writer,
        gathered: Gathered,
        arrived: &mut impl FnMut(Moved),
    ) -> anyhow::Result<u64> {
        let mut written = 0;
        for [first, second] in gathered.into_values() {
            for record in merge(first, second, |record| record.rank) {
                self.write(writer, record, arrived).await?;
                written += 1;
            }
        }
        Ok(written)
    }

    async fn write(
        &self,
        writer: &mut Writer,
        record: SourceRecord,
        arrived: &mut impl FnMut(Moved),
    ) -> anyhow::Result<()> {
        let to = self.homes.destination(record.key.as_ref(), record.partition)?;
        writer.write(record, to, arrived).await
    }

    /// Checks that nothing was appended behind the end that was read.
    async fn check_source(&self, read: &Ranges) -> anyhow::Result<()> {
        let now = ranges(self.settings, &self.from).await?;
        anyhow::ensure!(
            now == *read,
            "{} changed while it was copied, so the copy is incomplete: stop all services that write to it, then copy it again with another \
             prefix",
            self.from
        );
        Ok(())
    }

    async fn check_copy(
        &self,
        wanted: Fingerprint,
        progress: &mut impl FnMut(CopyProgress),
    ) -> anyhow::Result<()> {
        let ranges = ranges(self.settings, &self.to).await?;
        let (mut records, mut found) =
            (read(self.settings, &self.to, &ranges, fingerprint)?, Fingerprint::default());
        while let Some(fingerprint) = records.recv().await {
            found.add(fingerprint?);
            self.show(progress, CopyPhase::Verifying, found.records, wanted.records);
        }
        anyhow::ensure!(
            found == wanted,
            "the copy differs: {} has {} records, {} were read from {}. Copy the log again with another prefix",
            self.to,
            found.records,
            wanted.records,
            self.from
        );
        Ok(())
    }
}

/// What was copied.
#[derive(Default)]
struct Copied {
    fingerprint: Fingerprint,
    strays: u64,
}

impl Copied {
    fn count(&mut self, homes: &Homes, record: &SourceRecord) {
        self.fingerprint.add(record.fingerprint);
        self.strays += u64::from(homes.home(record.key.as_ref(), record.partition) == Home::Nowhere);
    }
}
