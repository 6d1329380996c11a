//! Whether the present log is the one that was folded. Kafka's ids of its topics and the number of
//! their partitions show it.
//!
//! Topics that were deleted and created again have new ids, however many records they hold. A topic
//! that got more partitions keeps its id, but the next event of a user would be in another
//! partition than the earlier ones.

mod mismatch;
mod registry;

pub use mismatch::log_replaced;
pub use registry::{fill_counts, folded_log, known_epoch, known_log, register, register_first};

use crate::Halt;
use anyhow::Context as _;
use read_model::{generation, operate::logs};
use service_kit::{
    database::{self, Role},
    kafka::{Described, TopicIds, Topics},
    settings::Settings,
};
use sqlx::PgPool;

/// The ids of the log's two topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    users: String,
    credentials: String,
}

/// The present log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The ids of its topics.
    pub ids: Ids,
    /// How many partitions its topics have.
    pub counts: Counts,
}

/// How many partitions each topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The topic of users.
    pub users: u32,
    /// The topic of credentials.
    pub credentials: u32,
}

/// The log that a generation is folded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The ids of its topics.
    pub ids: Ids,
    /// How many partitions each topic had; `None`: that is unknown.
    pub partitions: Option<u32>,
}

/// How the present log relates to one that was folded.
#[derive(Debug, PartialEq, Eq)]
pub enum LogMatch {
    /// It is the same log.
    Same,
    /// It is another log.
    Another,
    /// It is the same log, but its topics got more partitions.
    Altered(Altered),
}

impl LogMatch {
    /// Rejects a log that is not the one that was folded.
    ///
    /// # Errors
    /// It is another log, or its topics got more partitions.
    pub fn require_same(self) -> Result<(), Halt> {
        match self {
            Self::Same => Ok(()),
            Self::Another => Err(log_replaced()),
            Self::Altered(altered) => Err(altered.into()),
        }
    }
}

/// A log whose topics no longer have the number of partitions that it was folded with.
#[derive(Debug, PartialEq, Eq)]
pub struct Altered {
    topics: Topics,
    found: Counts,
    folded: u32,
}

/// Compares logs.
pub struct LogIdentity {
    topics: Topics,
    kafka: TopicIds,
    /// The generation of the last comparison, and the log that it is folded from.
    folded: Option<(i32, Folded)>,
}

impl LogIdentity {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// The settings are invalid for a Kafka client.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let topics = Topics::new(&settings.topic_prefix);
        Ok(Self { topics, kafka: TopicIds::new(settings)?, folded: None })
    }

    /// The present log.
    ///
    /// # Errors
    /// Kafka can't be queried, or a topic is missing.
    pub async fn present(&self) -> anyhow::Result<Present> {
        self.present_if_any().await?.map_err(|missing| anyhow::anyhow!("topic {missing} does not exist"))
    }

    /// The present log; `Ok(Err(name))`: the topic of this name is missing.
    async fn present_if_any(&self) -> anyhow::Result<Result<Present, String>> {
        let Topics { users, credentials, .. } = &self.topics;
        let described = self.kafka.describe([users, credentials]).await?;
        let present = |[users, credentials]: [Described; 2]| Present {
            counts: Counts { users: users.partitions, credentials: credentials.partitions },
            ids: Ids { users: users.id, credentials: credentials.id },
        };
        Ok(match described {
            [Some(users), Some(credentials)] => Ok(present([users, credentials])),
            [None, _] => Err(users.clone()),
            [_, None] => Err(credentials.clone()),
        })
    }

    /// Compares the present log with the one that a generation is folded from.
    ///
    /// Call it after reading records and before applying them: [`LogMatch::Same`] then proves that
    /// the records are of that log and in the right partitions. Kafka never reuses a topic id, and
    /// a topic never gets fewer partitions.
    ///
    /// # Errors
    /// Kafka or PostgreSQL can't be queried, or a topic is missing.
    pub async fn compare(&mut self, pool: &PgPool, generation: i32) -> anyhow::Result<LogMatch> {
        let present = self.present().await?;
        if self.folded.as_ref().is_none_or(|(of, _)| *of != generation) {
            let mut connection = pool.acquire().await?;
            self.folded = Some((generation, folded_log(&mut connection, generation).await?));
        }
        let (_, folded) = self.folded.as_ref().context("the folded log was just loaded")?;
        Ok(compare(&self.topics, &present, folded))
    }
}

/// Compares the present log with one that was folded.
pub fn compare(topics: &Topics, present: &Present, folded: &Folded) -> LogMatch {
    if present.ids != folded.ids {
        return LogMatch::Another;
    }
    let has = |wanted| present.counts == Counts { users: wanted, credentials: wanted };
    match folded.partitions {
        Some(wanted) if !has(wanted) => {
            let (topics, found) = (topics.clone(), present.counts);
            LogMatch::Altered(Altered { topics, found, folded: wanted })
        }
        Some(_) | None => LogMatch::Same,
    }
}

/// Rejects a log that is not the one that the live generation is folded from, or that has another
/// number of partitions. Accepts any log if nothing is folded yet.
///
/// # Errors
/// [`Halt`], if it is another log; or Kafka or PostgreSQL can't be queried.
pub async fn check_log(settings: &Settings) -> anyhow::Result<()> {
    Ok(compare_with_live(settings).await?.require_same()?)
}

/// Rejects a log whose number of partitions changed. Accepts any number if nothing is folded yet.
///
/// # Errors
/// [`Halt`], if the number changed; or Kafka or PostgreSQL can't be queried.
pub async fn check_partitions(settings: &Settings) -> anyhow::Result<()> {
    match compare_with_live(settings).await? {
        LogMatch::Same | LogMatch::Another => Ok(()),
        LogMatch::Altered(altered) => Err(Halt::from(altered).into()),
    }
}

async fn compare_with_live(settings: &Settings) -> anyhow::Result<LogMatch> {
    let identity = LogIdentity::new(settings)?;
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let folded = live_log(&pool).await;
    pool.close().await;
    let Some(folded) = folded? else { return Ok(LogMatch::Same) };
    let Ok(present) = identity.present_if_any().await? else { return Ok(LogMatch::Same) };
    Ok(compare(&identity.topics, &present, &folded))
}

/// The log that the live generation is folded from, if there is one.
async fn live_log(pool: &PgPool) -> anyhow::Result<Option<Folded>> {
    let mut connection = pool.acquire().await?;
    if !logs::exist(&mut connection).await? {
        return Ok(None);
    }
    match generation::live(&mut connection).await? {
        Some(live) => Ok(Some(folded_log(&mut connection, live).await?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(id: &str) -> Ids {
        Ids { users: id.to_owned(), credentials: id.to_owned() }
    }

    fn log(id: &str, users: u32, credentials: u32, folded: Option<u32>) -> LogMatch {
        let present = Present { ids: ids(id), counts: Counts { users, credentials } };
        compare(&Topics::new("p."), &present, &Folded { ids: ids("a"), partitions: folded })
    }

    #[test]
    fn ids_and_partitions_make_a_log() {
        assert_eq!(log("a", 12, 12, Some(12)), LogMatch::Same);
        assert_eq!(log("b", 12, 12, Some(12)), LogMatch::Another);
        assert_eq!(log("b", 24, 24, Some(12)), LogMatch::Another, "a copy has a number of its own");
        assert_eq!(log("a", 24, 24, None), LogMatch::Same, "nothing is known to have changed");
        for (users, credentials) in [(24, 12), (12, 24), (24, 24)] {
            let LogMatch::Altered(altered) = log("a", users, credentials, Some(12)) else {
                panic!("{users} and {credentials} are not 12");
            };
            let message = altered.to_string();
            for part in [
                format!("p.users.events has {users} partitions"),
                format!("p.users.credentials has {credentials}"),
                "folded with 12".to_owned(),
                "rollcall log copy".to_owned(),
            ] {
                assert!(message.contains(&part), "{message}");
            }
            assert!(!message.to_lowercase().contains("delete"), "{message}");
        }
    }
}
