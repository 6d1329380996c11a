//! `rollcall log stats`

use super::{
    super::{print, table::Table},
    reader,
};
use crate::settings;
use anyhow::Context as _;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier},
    client::DefaultClientContext,
};
use serde::Serialize;
use service_kit::{
    kafka::{self, OpenTransaction, Topics},
    settings::Settings,
};
use std::time::Duration;

/// Show the size and the retention of each topic, partition by partition
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print JSON lines, one for each topic
    #[arg(long)]
    json: bool,
}

const ANSWER: Duration = Duration::from_secs(10);

/// A topic. Records are counted by offsets, so the markers of transactions count too.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Topic {
    topic: String,
    records: i64,
    /// How many of them are behind an open transaction and can't be read yet.
    waiting: i64,
    cleanup_policy: Option<String>,
    /// -1 if records are kept forever.
    retention_ms: Option<i64>,
    /// -1 if the size is not limited.
    retention_bytes: Option<i64>,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partition {
    partition: i32,
    /// The first offset.
    first: i64,
    /// The offset after the last one.
    end: i64,
    records: i64,
    /// The first open transaction.
    open_transaction: Option<OpenTransaction>,
}

pub(crate) async fn stats(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let Topics { users, credentials, analytics } = Topics::new(&settings.topic_prefix);
    let mut topics = Vec::new();
    for name in [users, credentials, analytics] {
        topics.push(topic(&settings, name).await?);
    }
    if args.json {
        return topics.iter().try_for_each(|topic| print(serde_json::to_string(topic)?));
    }
    print(format_args!("{}\n", table(&topics)))?;
    topics.iter().try_for_each(|topic| print(in_words(topic)))?;
    topics.iter().flat_map(open_transactions).try_for_each(print)
}

fn open_transactions(topic: &Topic) -> impl Iterator<Item = String> {
    topic.partitions.iter().filter_map(|partition| {
        let open = partition.open_transaction.as_ref()?;
        Some(format!("{} partition {}: {open}", topic.topic, partition.partition))
    })
}

async fn topic(settings: &Settings, topic: String) -> anyhow::Result<Topic> {
    let config = config(settings, &topic).await?;
    let value = |key: &str| config.get(key).and_then(|entry| entry.value.clone());
    let number = |key: &str| value(key).and_then(|text| text.parse().ok());
    let ends = reader::ends(settings, &topic).await?;
    let numbers = ends.iter().map(|(partition, ..)| *partition).collect();
    let mut open = kafka::open_transactions(settings, &topic, numbers).await?;
    let partitions: Vec<_> = ends
        .into_iter()
        .map(|(partition, first, end)| {
            let open_transaction = open.remove(&partition);
            Partition { partition, first, end, records: end - first, open_transaction }
        })
        .collect();
    let waiting = |partition: &Partition| partition.open_transaction.as_ref().map_or(0, |open| open.waiting);
    Ok(Topic {
        records: partitions.iter().map(|partition| partition.records).sum(),
        waiting: partitions.iter().map(waiting).sum(),
        cleanup_policy: value("cleanup.policy"),
        retention_ms: number("retention.ms"),
        retention_bytes: number("retention.bytes"),
        topic,
        partitions,
    })
}

async fn config(settings: &Settings, topic: &str) -> anyhow::Result<ConfigResource> {
    let admin: AdminClient<DefaultClientContext> = kafka::client_config(settings)?.create()?;
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let specifier = ResourceSpecifier::Topic(topic);
    let asked = admin.describe_configs([&specifier], &options).await;
    let what = || format!("can't read the configuration of topic {topic}");
    asked.with_context(what)?.into_iter().next().with_context(what)?.with_context(what)
}

fn table(topics: &[Topic]) -> Table {
    let mut table = Table::new(["topic", "partition", "first", "end", "records"]);
    for topic in topics {
        for Partition { partition, first, end, records, .. } in &topic.partitions {
            let [partition, first, end, records] =
                [i64::from(*partition), *first, *end, *records].map(|n| n.to_string());
            table.row([topic.topic.clone(), partition, first, end, records]);
        }
    }
    table
}

fn in_words(topic: &Topic) -> String {
    let policy = topic.cleanup_policy.as_deref().unwrap_or("unknown");
    let (kept, size) = (kept(topic.retention_ms), size(topic.retention_bytes));
    format!("{}: {} records, cleanup.policy {policy}, kept {kept}, {size}", topic.topic, topic.records)
}

fn kept(millis: Option<i64>) -> String {
    const HOUR: i64 = 3_600_000;
    match millis {
        None => "for an unknown time".to_owned(),
        Some(-1) => "forever".to_owned(),
        Some(millis) if millis % (24 * HOUR) == 0 => format!("for {} days", millis / (24 * HOUR)),
        Some(millis) if millis % HOUR == 0 => format!("for {} hours", millis / HOUR),
        Some(millis) => format!("for {millis} ms"),
    }
}

fn size(bytes: Option<i64>) -> String {
    match bytes {
        None => "unknown size".to_owned(),
        Some(-1) => "any size".to_owned(),
        Some(bytes) => format!("at most {bytes} bytes a partition"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_in_words() {
        assert_eq!(kept(Some(-1)), "forever");
        assert_eq!(kept(Some(604_800_000)), "for 7 days");
        assert_eq!(kept(Some(7_200_000)), "for 2 hours");
        assert_eq!(kept(Some(1)), "for 1 ms");
        assert_eq!(size(Some(-1)), "any size");
    }
}
