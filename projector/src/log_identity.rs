//! Whether the log that is there is the one that was folded. Kafka's ids of its topics tell, and the number of their partitions. Topics that
//! were deleted and made anew have other ids, however many records they have by now. A topic that got more partitions keeps its id, but a
//! user's next event would lie in another partition than those before it.

use crate::{generation, state::Halt};
use anyhow::Context as _;
use service_kit::{
    database::{self, Role},
    kafka::{Described, TopicIds, Topics},
    settings::Settings,
};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use std::fmt;

/// The ids of the log's two topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    users: String,
    credentials: String,
}

/// The log that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) ids: Ids,
    pub(crate) counts: Counts,
}

/// How many partitions each topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) users: u32,
    pub(crate) credentials: u32,
}

/// The log that a generation is folded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) ids: Ids,
    /// `None`: nothing says any more how many there were.
    pub(crate) partitions: Option<u32>,
}

/// How the log that is there stands to one that was folded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WhichLog {
    /// It is that one.
    Same,
    /// It is another one.
    Another,
    /// It is that one, but its topics got more partitions.
    Altered(Altered),
}

/// A log whose topics don't have the number of partitions any more that it was folded with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Altered {
    topics: Topics,
    found: Counts,
    folded: u32,
}

/// Tells logs apart.
pub(crate) struct LogIdentity {
    topics: Topics,
    kafka: TopicIds,
    /// The generation that was last asked about, and the log that it is folded from.
    folded: Option<(i32, Folded)>,
}

impl LogIdentity {
    /// It connects when first used.
    ///
    /// # Errors
    /// The settings don't make a client.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let topics = Topics::new(&settings.topic_prefix);
        Ok(Self { topics, kafka: TopicIds::new(settings)?, folded: None })
    }

    /// The log that is there now.
    ///
    /// # Errors
    /// Kafka can't be asked, or has not got both topics.
    pub(crate) async fn present(&self) -> anyhow::Result<Present> {
        self.present_if_any().await?.map_err(|missing| anyhow::anyhow!("there is no topic {missing}"))
    }

    /// The same; `Ok(Err(name))`: there is no topic of that name.
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

    /// How the log that is there stands to the one that a generation is folded from. Asked after records were read and before they have an
    /// effect, "the same" proves of them that they are of that log, and lie where they belong: an id never comes again, and partitions never
    /// get fewer.
    ///
    /// # Errors
    /// Kafka or Postgres can't be asked, or a topic is not there.
    pub(crate) async fn which(&mut self, pool: &PgPool, generation: i32) -> anyhow::Result<WhichLog> {
        let present = self.present().await?;
        if self.folded.as_ref().is_none_or(|(of, _)| *of != generation) {
            let mut connection = pool.acquire().await?;
            self.folded = Some((generation, folded(&mut connection, generation).await?));
        }
        let (_, folded) = self.folded.as_ref().context("it was just asked for")?;
        Ok(judge(&self.topics, &present, folded))
    }
}

/// How a log stands to one that was folded.
pub(crate) fn judge(topics: &Topics, present: &Present, folded: &Folded) -> WhichLog {
    if present.ids != folded.ids {
        return WhichLog::Another;
    }
    let has = |wanted| present.counts == Counts { users: wanted, credentials: wanted };
    match folded.partitions {
        Some(wanted) if !has(wanted) => {
            let (topics, found) = (topics.clone(), present.counts);
            WhichLog::Altered(Altered { topics, found, folded: wanted })
        }
        Some(_) | None => WhichLog::Same,
    }
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topics, found, folded } = self;
        write!(
            f,
            "the partition count of the log changed: {} has {} partitions and {} has {}, but the log was folded with {folded}. \
             A user's partition follows from that number, so a user's next event would lie in another partition than those before it. \
             Nothing more is folded, and nothing is lost. Keep both topics. Copy them with `rollcall log copy --to-prefix PREFIX`, then set \
             ROLLCALL_TOPIC_PREFIX=PREFIX, restart everything with it, and run `rollcall projection rebuild`; docs/operate.md shows the way",
            topics.users, found.users, topics.credentials, found.credentials
        )
    }
}

impl From<Altered> for Halt {
    fn from(altered: Altered) -> Self {
        Self(altered.to_string())
    }
}

/// The log is another one: a person must say what is to become of it.
pub(crate) fn is_another() -> Halt {
    Halt(
        "the log is not the one that was folded: its topics were made anew, or are those of another prefix. If that was not meant, restore the \
         topics (or ROLLCALL_TOPIC_PREFIX), then `rollcall projection resume`. To go on with this log, run `rollcall projection rebuild`: it \
         folds what this log holds, and the present read model stays as the retired generation"
            .to_owned(),
    )
}

/// Refuses a log that is not the one that the live generation is folded from, or has another number of partitions, in words. Where nothing is
/// folded yet, any log will do.
///
/// # Errors
/// It is another log; or Kafka or Postgres can't be asked.
pub async fn check_log(settings: &Settings) -> anyhow::Result<()> {
    match which_of_live(settings).await? {
        WhichLog::Same => Ok(()),
        WhichLog::Another => Err(is_another().into()),
        WhichLog::Altered(altered) => Err(Halt::from(altered).into()),
    }
}

/// Refuses a log whose number of partitions changed, in words. Where nothing is folded yet, any number will do.
///
/// # Errors
/// It did; or Kafka or Postgres can't be asked.
pub async fn check_partitions(settings: &Settings) -> anyhow::Result<()> {
    match which_of_live(settings).await? {
        WhichLog::Same | WhichLog::Another => Ok(()),
        WhichLog::Altered(altered) => Err(Halt::from(altered).into()),
    }
}

async fn which_of_live(settings: &Settings) -> anyhow::Result<WhichLog> {
    let identity = LogIdentity::new(settings)?;
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let folded = async {
        let mut connection = pool.acquire().await?;
        if !are_there(&mut connection).await? {
            return anyhow::Ok(None);
        }
        match generation::live(&mut connection).await? {
            Some(live) => Ok(Some(folded(&mut connection, live).await?)),
            None => Ok(None),
        }
    };
    let folded = folded.await;
    pool.close().await;
    let Some(folded) = folded? else { return Ok(WhichLog::Same) };
    let Ok(present) = identity.present_if_any().await? else { return Ok(WhichLog::Same) };
    Ok(judge(&identity.topics, &present, &folded))
}

/// In the place of a log's number of partitions where that was not written down: the checkpoints know. Those of a generation were added to
/// when its topics were altered, so the fewest count. The column may not be there yet.
const COUNT: &str = "coalesce((to_jsonb(l) ->> 'partitions')::int, (SELECT min(n)::int FROM (SELECT count(*) AS n FROM rollcall.checkpoints c \
    JOIN rollcall.generations o ON o.id = c.generation WHERE o.log_epoch = l.epoch AND c.topic = 'users' GROUP BY o.id) counts))";

/// The log that a generation is folded from.
pub(crate) async fn folded(connection: &mut PgConnection, generation: i32) -> anyhow::Result<Folded> {
    let sql = format!(
        "SELECT l.users_topic_id, l.credentials_topic_id, {COUNT} FROM rollcall.generations g \
         JOIN rollcall.logs l ON l.epoch = g.log_epoch WHERE g.id = $1"
    );
    let row: (String, String, Option<i32>) =
        sqlx::query_as(AssertSqlSafe(sql)).bind(generation).fetch_one(connection).await?;
    of_row(row)
}

/// What is known of the log that has these ids, if it was folded before.
pub(crate) async fn known(connection: &mut PgConnection, ids: &Ids) -> anyhow::Result<Option<Folded>> {
    let sql = format!(
        "SELECT l.users_topic_id, l.credentials_topic_id, {COUNT} FROM rollcall.logs l \
         WHERE l.users_topic_id = $1 AND l.credentials_topic_id = $2"
    );
    let row = sqlx::query_as(AssertSqlSafe(sql)).bind(&ids.users).bind(&ids.credentials);
    row.fetch_optional(connection).await?.map(of_row).transpose()
}

/// The same where there may be no read model yet.
pub(crate) async fn known_if_any(connection: &mut PgConnection, ids: &Ids) -> anyhow::Result<Option<Folded>> {
    if are_there(connection).await? { known(connection, ids).await } else { Ok(None) }
}

/// The epoch of the log that has these ids, if it was folded before.
pub(crate) async fn known_epoch(connection: &mut PgConnection, ids: &Ids) -> sqlx::Result<Option<i32>> {
    if !are_there(connection).await? {
        return Ok(None);
    }
    sqlx::query_scalar(
        "SELECT epoch FROM rollcall.logs WHERE users_topic_id = $1 AND credentials_topic_id = $2",
    )
    .bind(&ids.users)
    .bind(&ids.credentials)
    .fetch_optional(connection)
    .await
}

/// Whether there is a place where logs are written down.
async fn are_there(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT to_regclass('rollcall.logs') IS NOT NULL").fetch_one(connection).await
}

fn of_row((users, credentials, partitions): (String, String, Option<i32>)) -> anyhow::Result<Folded> {
    let partitions = partitions.map(u32::try_from).transpose()?;
    Ok(Folded { ids: Ids { users, credentials }, partitions })
}

/// Writes down how many partitions each log has of which that was not written down.
pub(crate) async fn fill_counts(connection: &mut PgConnection) -> sqlx::Result<()> {
    let sql = format!("UPDATE rollcall.logs l SET partitions = {COUNT} WHERE l.partitions IS NULL");
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// Enters the log that is there as the first one, unless one was entered before.
pub(crate) async fn enter_first(connection: &mut PgConnection, log: &Present) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.logs (epoch, users_topic_id, credentials_topic_id) SELECT 1, $1, $2 \
         WHERE NOT EXISTS (SELECT FROM rollcall.logs)",
    )
    .bind(&log.ids.users)
    .bind(&log.ids.credentials)
    .execute(connection)
    .await
    .map(drop)
}

/// The epoch of a log, which is entered unless it is known. To be called under the schema lock.
pub(crate) async fn enter(connection: &mut PgConnection, log: &Present) -> anyhow::Result<i32> {
    let epoch: i32 = sqlx::query_scalar(
        "WITH entered AS (INSERT INTO rollcall.logs (epoch, users_topic_id, credentials_topic_id, partitions) \
             SELECT coalesce(max(epoch), 0) + 1, $1, $2, $3 FROM rollcall.logs ON CONFLICT DO NOTHING RETURNING epoch) \
         SELECT epoch FROM entered UNION ALL \
         SELECT epoch FROM rollcall.logs WHERE users_topic_id = $1 AND credentials_topic_id = $2",
    )
    .bind(&log.ids.users)
    .bind(&log.ids.credentials)
    .bind(i32::try_from(log.counts.users)?)
    .fetch_one(&mut *connection)
    .await?;
    // Nothing says any more how many partitions it had, so it has never been folded with another number.
    sqlx::query("UPDATE rollcall.logs SET partitions = $2 WHERE epoch = $1 AND partitions IS NULL")
        .bind(epoch)
        .bind(i32::try_from(log.counts.users)?)
        .execute(connection)
        .await?;
    Ok(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(id: &str) -> Ids {
        Ids { users: id.to_owned(), credentials: id.to_owned() }
    }

    fn which(id: &str, users: u32, credentials: u32, folded: Option<u32>) -> WhichLog {
        let present = Present { ids: ids(id), counts: Counts { users, credentials } };
        judge(&Topics::new("p."), &present, &Folded { ids: ids("a"), partitions: folded })
    }

    #[test]
    fn ids_and_partitions_make_a_log() {
        assert_eq!(which("a", 12, 12, Some(12)), WhichLog::Same);
        assert_eq!(which("b", 12, 12, Some(12)), WhichLog::Another);
        assert_eq!(which("b", 24, 24, Some(12)), WhichLog::Another, "a copy has a number of its own");
        assert_eq!(which("a", 24, 24, None), WhichLog::Same, "nothing is known to have changed");
        for (users, credentials) in [(24, 12), (12, 24), (24, 24)] {
            let WhichLog::Altered(altered) = which("a", users, credentials, Some(12)) else {
                panic!("{users} and {credentials} are not 12");
            };
            let said = altered.to_string();
            for part in [
                format!("p.users.events has {users} partitions"),
                format!("p.users.credentials has {credentials}"),
                "folded with 12".to_owned(),
                "rollcall log copy".to_owned(),
            ] {
                assert!(said.contains(&part), "{said}");
            }
            assert!(!said.to_lowercase().contains("delete"), "{said}");
        }
    }
}
