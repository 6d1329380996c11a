//! One topic, copied and compared.

use super::{
    CopiedTopic, CopyPhase, CopyProgress,
    homes::{Home, Homes},
    item::{Item, Print, key, print},
    order::merge,
    source::{Ranges, ranges, read, total},
    survey::{Split, Survey},
    writer::{Moved, Writer},
};
use events_schema::{Topic, UserKey};
use rdkafka::Message as _;
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

/// The records of a key, home by home.
type Gathered = BTreeMap<UserKey, [Vec<Item>; 2]>;

impl Job<'_> {
    /// Copies every committed record and reads the copy again.
    ///
    /// # Errors
    /// Kafka fails, the topic grew meanwhile, or the copy does not hold the same records.
    pub(super) async fn run(
        &self,
        arrived: &mut impl FnMut(Moved),
        progress: &mut impl FnMut(CopyProgress),
    ) -> anyhow::Result<CopiedTopic> {
        let ranges = ranges(self.settings, &self.from).await?;
        let split = self.survey(&ranges, progress).await?;
        let copied = self.copy(&ranges, &split, arrived, progress).await?;
        self.check_source(&ranges).await?;
        self.check_copy(copied.print, progress).await?;
        Ok(CopiedTopic {
            from: self.from.clone(),
            to: self.to.clone(),
            from_partitions: self.homes.present,
            to_partitions: self.homes.copy,
            records: copied.print.records,
            joined_users: split.keys,
            strays: copied.strays,
        })
    }

    fn show(&self, progress: &mut impl FnMut(CopyProgress), phase: CopyPhase, records: u64, total: u64) {
        progress(CopyProgress { topic: self.from.clone(), phase, records, total });
    }

    /// Looks for keys whose records lie in two partitions; there are none where the number of partitions has not changed.
    async fn survey(
        &self,
        ranges: &Ranges,
        progress: &mut impl FnMut(CopyProgress),
    ) -> anyhow::Result<Split> {
        let mut survey = Survey::default();
        if self.homes.folded != self.homes.present {
            let look = |message: &rdkafka::message::BorrowedMessage<'_>| {
                (key(message), message.partition(), message.payload_len() + message.key_len())
            };
            let (mut records, mut done) = (read(self.settings, &self.from, ranges, look)?, 0);
            while let Some(record) = records.recv().await {
                let (key, partition, bytes) = record?;
                if let Some(key) = key {
                    survey.see(&self.homes, &key, partition, bytes);
                }
                done += 1;
                self.show(progress, CopyPhase::Surveying, done, total(ranges));
            }
        }
        Ok(survey.split())
    }

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
            let mut gathered = Gathered::new();
            let topic = self.topic;
            let mut records =
                read(self.settings, &self.from, ranges, move |message| Item::read(topic, message))?;
            while let Some(item) = records.recv().await {
                let item = item?;
                if pass == 0 {
                    copied.take(&self.homes, &item);
                }
                match split.group(&self.homes, item.key.as_ref(), item.partition) {
                    Some(group) if group == pass => self.gather(&mut gathered, item),
                    None if pass == 0 => {
                        self.write(&mut writer, item, arrived).await?;
                        written += 1;
                    }
                    Some(_) | None => {}
                }
                self.show(progress, CopyPhase::Copying, written, total(ranges));
            }
            for [first, second] in gathered.into_values() {
                for item in merge(first, second, |item| item.rank) {
                    self.write(&mut writer, item, arrived).await?;
                    written += 1;
                }
            }
        }
        writer.finish(&mut *arrived).await?;
        Ok(copied)
    }

    fn gather(&self, gathered: &mut Gathered, item: Item) {
        let Some(key) = item.key.clone() else { return };
        let [first, second] = gathered.entry(key).or_default();
        match self.homes.home(item.key.as_ref(), item.partition) {
            Home::First => first.push(item),
            Home::Second | Home::Nowhere => second.push(item),
        }
    }

    async fn write(
        &self,
        writer: &mut Writer,
        item: Item,
        arrived: &mut impl FnMut(Moved),
    ) -> anyhow::Result<()> {
        let to = self.homes.destination(item.key.as_ref(), item.partition)?;
        writer.write(item, to, arrived).await
    }

    /// What was appended behind the end that was read is not in the copy.
    async fn check_source(&self, read: &Ranges) -> anyhow::Result<()> {
        let now = ranges(self.settings, &self.from).await?;
        anyhow::ensure!(
            now == *read,
            "{} changed while it was copied, so the copy is not complete: stop everybody who writes there, then copy it again under another \
             prefix",
            self.from
        );
        Ok(())
    }

    async fn check_copy(&self, wanted: Print, progress: &mut impl FnMut(CopyProgress)) -> anyhow::Result<()> {
        let ranges = ranges(self.settings, &self.to).await?;
        let (mut records, mut found) = (read(self.settings, &self.to, &ranges, print)?, Print::default());
        while let Some(print) = records.recv().await {
            found.add(print?);
            self.show(progress, CopyPhase::Verifying, found.records, wanted.records);
        }
        anyhow::ensure!(
            found == wanted,
            "the copy is not the same: {} has {} records, {} were read from {}. Copy the log again under another prefix",
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
    print: Print,
    strays: u64,
}

impl Copied {
    fn take(&mut self, homes: &Homes, item: &Item) {
        self.print.add(item.print);
        self.strays += u64::from(homes.home(item.key.as_ref(), item.partition) == Home::Nowhere);
    }
}
