//! Checks that the log in Kafka is the one that the live generation is folded from.
//!
//! If topics were deleted and recreated, an event that is appended to them is lost to its
//! writer: nobody folds it until an operator has decided which log counts, and then it may take
//! effect unexpectedly. So every writer checks first.

use read_model::read::generation::{FoldedLog, folded_log};
use service_kit::{
    database::answered,
    kafka::{Described, TopicIds, Topics},
    settings::Settings,
};
use sqlx::PgPool;
use std::time::Duration;
use tokio::sync::watch;

/// The pause between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long the read model may take to answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Compares the log in Kafka with that of the live generation.
pub struct IdentityCheck {
    topics: Topics,
    kafka: TopicIds,
    pool: PgPool,
}

impl IdentityCheck {
    /// Creates the check. It connects when it is first used.
    ///
    /// # Errors
    /// The settings don't describe a Kafka client.
    pub fn new(settings: &Settings, pool: PgPool) -> anyhow::Result<Self> {
        Ok(Self { topics: Topics::new(&settings.topic_prefix), kafka: TopicIds::new(settings)?, pool })
    }

    /// Whether the log was replaced, so that nothing may be appended: it is not the log of the live
    /// generation, it has another number of partitions, or a projector has stopped because of that.
    ///
    /// A missing topic proves nothing: a broker that is starting may not know it yet, and nobody
    /// can append to it.
    ///
    /// # Errors
    /// Kafka or the read model does not answer.
    pub async fn is_replaced(&self) -> anyhow::Result<bool> {
        let Some(folded) = answered(QUERY_TIMEOUT, folded_log(&self.pool)).await? else { return Ok(false) };
        if folded.is_halted {
            return Ok(true);
        }
        let there = self.kafka.describe([&self.topics.users, &self.topics.credentials]).await?;
        Ok(differs(there[0].as_ref(), &folded.users_topic_id, &folded)
            || differs(there[1].as_ref(), &folded.credentials_topic_id, &folded))
    }
}

/// Whether a topic is not the one that was folded. With more partitions, the next
/// event of a user could be in another partition than those before it.
fn differs(there: Option<&Described>, folded_id: &str, folded: &FoldedLog) -> bool {
    there.is_some_and(|there| {
        let has_other_partitions =
            folded.partitions.is_some_and(|partitions| i64::from(there.partitions) != i64::from(partitions));
        there.id != folded_id || has_other_partitions
    })
}

/// Repeats the check. Cheap to clone.
#[derive(Clone)]
pub struct IdentityWatch(watch::Receiver<bool>);

impl IdentityWatch {
    /// Checks as long as somebody is interested. While a check fails, the last answer stands.
    pub fn start(check: IdentityCheck) -> Self {
        let (sender, is_replaced) = watch::channel(false);
        tokio::spawn(async move {
            while !sender.is_closed() {
                match check.is_replaced().await {
                    Ok(is_replaced) => publish(&sender, is_replaced),
                    Err(error) => {
                        tracing::debug!(error = format!("{error:#}"), "the log's identity can't be checked")
                    }
                }
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        });
        Self(is_replaced)
    }

    /// Whether the log is known to be replaced.
    pub fn is_replaced(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the log is not known to be replaced.
    pub async fn until_not_replaced(&self) {
        let _ = self.0.clone().wait_for(|is_replaced| !is_replaced).await;
    }
}

fn publish(sender: &watch::Sender<bool>, is_replaced: bool) {
    if sender.send_replace(is_replaced) == is_replaced {
        return;
    }
    if is_replaced {
        tracing::error!(
            "the log is not the one that was folded: writes are refused until an operator has acted"
        );
    } else {
        tracing::info!("the log is the one that is folded: writes are accepted again");
    }
}
