//! What the servers can do by themselves, without HTTP: a statement, a commit, an append.

use crate::{
    cpu::Cpu,
    load::Figures,
    stack::Stack,
    twin::{GET, PLAIN, UPDATE},
    users,
};
use futures_util::future::try_join_all;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use std::{
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

const TOPIC: &str = "bench.raw";

/// What one call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A prepared SELECT by id.
    Select,
    /// A prepared UPDATE of claims by id, committed durably.
    Update,
    /// A record of the size of an event, acknowledged by all replicas.
    Append,
}

/// The servers of a stack.
pub(crate) struct Raw {
    pub(crate) database_url: String,
    brokers: String,
    users: Arc<Vec<String>>,
    pid: u32,
}

impl Raw {
    pub(crate) async fn open(stack: &Stack, users: Arc<Vec<String>>) -> anyhow::Result<Self> {
        let (database_url, brokers) = (stack.address("DATABASE_URL")?, stack.address("KAFKA_BROKERS")?);
        let raw = Self { database_url, brokers, users, pid: stack.pid() };
        let admin: AdminClient<DefaultClientContext> = raw.config().create()?;
        let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
        admin.create_topics([&topic], &AdminOptions::new()).await?;
        Ok(raw)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// Measures for so long, with so many connections.
    pub(crate) async fn measure(
        &self,
        call: Call,
        connections: usize,
        length: Duration,
    ) -> anyhow::Result<Figures> {
        let (began, cpu) = (Instant::now(), Cpu::of_trees(&[self.pid]));
        let took: Vec<f64> = match call {
            Call::Append => self.append(began + length).await?,
            Call::Select | Call::Update => {
                let all = (0..connections).map(|n| self.query(call, n, connections, began + length));
                try_join_all(all).await?.concat()
            }
        };
        Ok(Figures::new(took, began.elapsed(), Cpu::of_trees(&[self.pid]).since(&cpu)))
    }

    async fn query(&self, call: Call, n: usize, of: usize, until: Instant) -> anyhow::Result<Vec<f64>> {
        let options = PgConnectOptions::from_str(&self.database_url)?.options([("search_path", PLAIN)]);
        let mut connection = PgConnection::connect_with(&options).await?;
        let own: Vec<Uuid> =
            self.users.iter().skip(n).step_by(of).map(|id| id.parse()).collect::<Result<_, _>>()?;
        let mut took = Vec::new();
        for (turn, id) in own.iter().cycle().enumerate() {
            let began = Instant::now();
            if began >= until {
                break;
            }
            if call == Call::Select {
                let _: (String, i64) =
                    sqlx::query_as(GET).bind(users::TENANT).bind(id).fetch_one(&mut connection).await?;
            } else {
                let body = users::stored(&id.to_string(), turn as u64);
                let request: serde_json::Value = serde_json::from_str(&users::request(turn as u64))?;
                let _: i64 = sqlx::query_scalar(UPDATE)
                    .bind(users::TENANT)
                    .bind(id)
                    .bind(request["claims"].to_string())
                    .bind(body)
                    .fetch_one(&mut connection)
                    .await?;
            }
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        connection.close().await?;
        Ok(took)
    }

    async fn append(&self, until: Instant) -> anyhow::Result<Vec<f64>> {
        let mut config = self.config();
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "0");
        let producer: FutureProducer = config.create()?;
        let value = users::request(0);
        let mut took = Vec::new();
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok(took);
            }
            let record: FutureRecord<'_, str, str> = FutureRecord::to(TOPIC).key("key").payload(&value);
            producer.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| error)?;
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
    }
}
