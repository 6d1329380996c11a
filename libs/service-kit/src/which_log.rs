//! Whether the log that is there is the one that the live generation is folded from.
//!
//! An event that is appended to another log is lost to its writer: nobody folds it before an operator has decided which log counts, and then it
//! may have an effect that nobody expects any more. So whoever appends looks first.

use crate::{
    database::answered,
    kafka::{Described, TopicIds, Topics},
    settings::Settings,
};
use sqlx::PgPool;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For one answer of the read model.
const ANSWER: Duration = Duration::from_secs(2);

/// The log of the live generation, and whether a projector has found another one in its place.
const FOLDED: &str = "\
SELECT l.users_topic_id, l.credentials_topic_id, (to_jsonb(l) ->> 'partitions')::int, EXISTS (SELECT FROM rollcall.pause WHERE by = 'log') \
FROM rollcall.generations g JOIN rollcall.logs l ON l.epoch = g.log_epoch WHERE g.state = 'live'";

/// Asks which log is there.
pub struct WhichLog {
    topics: Topics,
    kafka: TopicIds,
    pool: PgPool,
}

impl WhichLog {
    /// It connects when first used.
    ///
    /// # Errors
    /// The settings don't make a client.
    pub fn new(settings: &Settings, pool: PgPool) -> anyhow::Result<Self> {
        Ok(Self { topics: Topics::new(&settings.topic_prefix), kafka: TopicIds::new(settings)?, pool })
    }

    /// Whether the log is another one than that of the live generation, or has another number of partitions, so that nothing may be appended. A topic that is not there says nothing: a
    /// broker that is just starting may not know it yet, and nobody can append to it.
    ///
    /// # Errors
    /// Kafka or the read model can't be asked.
    pub async fn is_another(&self) -> anyhow::Result<bool> {
        let folded =
            sqlx::query_as::<_, (String, String, Option<i32>, bool)>(FOLDED).fetch_optional(&self.pool);
        let Some((users, credentials, partitions, is_halted)) = answered(ANSWER, folded).await? else {
            return Ok(false);
        };
        if is_halted {
            return Ok(true);
        }
        let there = self.kafka.describe([&self.topics.users, &self.topics.credentials]).await?;
        // Where it got more partitions, a user's next event would lie in another one than those before it.
        let is_altered = |there: &Described| {
            partitions.is_some_and(|partitions| i64::from(there.partitions) != i64::from(partitions))
        };
        let is_other = |there: &Option<Described>, folded| {
            there.as_ref().is_some_and(|there| there.id != folded || is_altered(there))
        };
        Ok(is_other(&there[0], users) || is_other(&there[1], credentials))
    }
}

/// Keeps looking. Cheap to clone.
#[derive(Clone)]
pub struct LogWatch(watch::Receiver<bool>);

impl LogWatch {
    /// Looks now and then, as long as somebody is interested. Where it can't be asked, the last answer stands.
    pub fn start(which: WhichLog) -> Self {
        let (sender, is_another) = watch::channel(false);
        tokio::spawn(async move {
            while !sender.is_closed() {
                match which.is_another().await {
                    Ok(is_another) => tell(&sender, is_another),
                    Err(error) => {
                        tracing::debug!(error = format!("{error:#}"), "which log is there can't be asked")
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self(is_another)
    }

    /// Whether the log is another one, as far as is known.
    pub fn is_another(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves once the log is not known to be another one.
    pub async fn is_ours(&self) {
        let _ = self.0.clone().wait_for(|is_another| !is_another).await;
    }
}

fn tell(sender: &watch::Sender<bool>, is_another: bool) {
    if sender.send_replace(is_another) == is_another {
        return;
    }
    if is_another {
        tracing::error!(
            "the log is not the one that was folded: writes are refused until an operator has acted"
        );
    } else {
        tracing::info!("the log is the one that is folded: writes go on");
    }
}
