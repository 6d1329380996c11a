//! Whether the log that is there is the one that was folded. The ids tell that Kafka gave its topics: those of topics that were deleted and
//! made anew are others, however many records they have by now.

use crate::state::Halt;
use anyhow::Context as _;
use service_kit::{
    kafka::{TopicIds, Topics},
    settings::Settings,
};
use sqlx::{PgConnection, PgPool};

/// The ids of the log's two topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    users: String,
    credentials: String,
}

/// Tells logs apart.
pub(crate) struct LogIdentity {
    topics: Topics,
    kafka: TopicIds,
    /// The generation that was last asked about, and the ids of the log that it is folded from.
    folded: Option<(i32, Ids)>,
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
    pub(crate) async fn present(&self) -> anyhow::Result<Ids> {
        let [users, credentials] = self.kafka.of([&self.topics.users, &self.topics.credentials]).await?;
        let users = users.with_context(|| format!("there is no topic {}", self.topics.users))?;
        let credentials =
            credentials.with_context(|| format!("there is no topic {}", self.topics.credentials))?;
        Ok(Ids { users, credentials })
    }

    /// Whether the log that is there is the one that a generation is folded from. Asked after records were read and before they have an
    /// effect, it proves of them that they are of that log: an id never comes again.
    ///
    /// # Errors
    /// Kafka or Postgres can't be asked, or a topic is not there.
    pub(crate) async fn is_log_of(&mut self, pool: &PgPool, generation: i32) -> anyhow::Result<bool> {
        let present = self.present().await?;
        match &self.folded {
            Some((of, folded)) if *of == generation => Ok(present == *folded),
            _ => {
                let mut connection = pool.acquire().await?;
                let folded = folded(&mut connection, generation).await?;
                let is_same = present == folded;
                self.folded = Some((generation, folded));
                Ok(is_same)
            }
        }
    }
}

/// The log is another one: a person must say what is to become of it.
pub(crate) fn is_another() -> Halt {
    Halt(
        "the log is not the one that was folded: its topics were made anew. Restore it, or run `rollcall projection rebuild` to begin \
         anew with this one"
            .to_owned(),
    )
}

/// The ids of the log that a generation is folded from.
pub(crate) async fn folded(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Ids> {
    let (users, credentials) = sqlx::query_as(
        "SELECT l.users_topic_id, l.credentials_topic_id FROM rollcall.generations g JOIN rollcall.logs l ON l.epoch = g.log_epoch \
         WHERE g.id = $1",
    )
    .bind(generation)
    .fetch_one(connection)
    .await?;
    Ok(Ids { users, credentials })
}

/// Enters the log that is there as the first one, unless one was entered before.
pub(crate) async fn enter_first(connection: &mut PgConnection, ids: &Ids) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.logs (epoch, users_topic_id, credentials_topic_id) SELECT 1, $1, $2 \
         WHERE NOT EXISTS (SELECT FROM rollcall.logs)",
    )
    .bind(&ids.users)
    .bind(&ids.credentials)
    .execute(connection)
    .await
    .map(drop)
}

/// The epoch of a log, which is entered unless it is known. To be called under the schema lock.
pub(crate) async fn enter(connection: &mut PgConnection, ids: &Ids) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "WITH entered AS (INSERT INTO rollcall.logs (epoch, users_topic_id, credentials_topic_id) \
             SELECT coalesce(max(epoch), 0) + 1, $1, $2 FROM rollcall.logs ON CONFLICT DO NOTHING RETURNING epoch) \
         SELECT epoch FROM entered UNION ALL \
         SELECT epoch FROM rollcall.logs WHERE users_topic_id = $1 AND credentials_topic_id = $2",
    )
    .bind(&ids.users)
    .bind(&ids.credentials)
    .fetch_one(connection)
    .await
}
