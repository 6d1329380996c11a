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
use std::time::{Duration, Instant};
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

/// What the checks have found.
#[derive(Debug, Default, Clone, Copy)]
struct Found {
    is_replaced: bool,
    /// When the last check began that was answered.
    checked_at: Option<Instant>,
}

/// Repeats the check. Cheap to clone.
#[derive(Clone)]
pub struct IdentityWatch(watch::Receiver<Found>);

impl IdentityWatch {
    /// Checks as long as somebody is interested. While a check fails, the last answer stands.
    pub fn start(check: IdentityCheck) -> Self {
        let (sender, found) = watch::channel(Found::default());
        tokio::spawn(async move {
            while !sender.is_closed() {
                let checked_at = Some(Instant::now());
                match check.is_replaced().await {
                    Ok(is_replaced) => publish(&sender, Found { is_replaced, checked_at }),
                    Err(error) => {
                        tracing::debug!(error = format!("{error:#}"), "the log's identity can't be checked")
                    }
                }
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        });
        Self(found)
    }

    /// Whether the log is known to be replaced.
    pub fn is_replaced(&self) -> bool {
        self.0.borrow().is_replaced
    }

    /// Waits until the log is not known to be replaced.
    pub async fn until_not_replaced(&self) {
        let _ = self.0.clone().wait_for(|found| !found.is_replaced).await;
    }

    /// Waits until a check that began after this call has found the log that is folded. An earlier
    /// answer may be outdated: while checks fail, it stands.
    pub async fn until_confirmed(&self) {
        let now = Instant::now();
        let is_confirmed = |found: &Found| !found.is_replaced && found.checked_at >= Some(now);
        let _ = self.0.clone().wait_for(is_confirmed).await;
    }
}

fn publish(sender: &watch::Sender<Found>, found: Found) {
    let before = sender.send_replace(found);
    if before.is_replaced == found.is_replaced {
        return;
    }
    if found.is_replaced {
        tracing::error!(
            "the log is not the one that was folded: writes are refused until an operator has acted"
        );
    } else {
        tracing::info!("the log is the one that is folded: writes are accepted again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    #[tokio::test]
    async fn only_a_later_check_confirms() {
        let found = |is_replaced| Found { is_replaced, checked_at: Some(Instant::now()) };
        let (sender, receiver) = watch::channel(found(false));
        let watch = IdentityWatch(receiver);
        let mut confirmed = pin!(watch.until_confirmed());
        assert!(futures_util::poll!(&mut confirmed).is_pending(), "the check was before");
        sender.send_replace(found(true));
        assert!(futures_util::poll!(&mut confirmed).is_pending(), "it is replaced");
        sender.send_replace(found(false));
        assert!(futures_util::poll!(&mut confirmed).is_ready());
    }
}
