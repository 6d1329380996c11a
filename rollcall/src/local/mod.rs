//! Local stores: PostgreSQL, Redis and Kafka as children of this process. They listen on loopback and keep
//! their data in `$ROLLCALL_HOME`.

pub(crate) mod env_file;
pub(crate) mod home;
mod install;
mod kafka;
mod kafka_jars;
pub(crate) mod lock;
mod ports;
mod postgres;
mod postgres_place;
mod process;
pub(crate) mod progress;
mod redis;
mod supervise;
pub(crate) mod terminal;

use home::Home;
use install::Programs;
use ports::Ports;
use service_kit::settings::Settings;
use std::fs;
use supervise::Child;

/// The local stores. They run until they are stopped or this process ends.
pub(crate) struct Children {
    kafka: Option<Child>,
    redis: Option<Child>,
    postgres: Option<Child>,
}

impl Children {
    /// Starts the stores that are not set, and sets their addresses.
    pub(crate) async fn start(home: &Home, settings: &mut Settings) -> anyhow::Result<Self> {
        refuse_own(home, settings)?;
        let programs = Programs::find(settings)?;
        let mut ports = Ports::load(home);
        let kafka = kafka::prepare(home, &programs, &mut ports, settings)?;
        let redis = redis::prepare(home, &programs, &mut ports, settings)?;
        let postgres = postgres::prepare(home, &programs, &mut ports, settings)?;
        ports.save()?;
        let (kafka, redis, postgres) = tokio::try_join!(
            Box::pin(started(kafka.map(kafka::Kafka::start))),
            Box::pin(started(redis.map(redis::Redis::start))),
            Box::pin(started(postgres.map(postgres::Postgres::start))),
        )?;
        Ok(Self {
            kafka: set_address(kafka, &mut settings.kafka_brokers),
            redis: set_address(redis, &mut settings.redis_url),
            postgres: set_address(postgres, &mut settings.database_url),
        })
    }

    /// Stops the stores, Kafka first, so that nothing is appended while the others are down.
    pub(crate) async fn stop(self) {
        for child in [self.kafka, self.redis, self.postgres].into_iter().flatten() {
            child.stop().await;
        }
    }
}

/// `rollcall env` prints the addresses of the local stores. If they are exported, the next start
/// would take the stores for foreign ones, and wait for servers that nobody starts.
fn refuse_own(home: &Home, settings: &Settings) -> anyhow::Result<()> {
    let stores = [
        ("DATABASE_URL", &settings.database_url, postgres::PASSWORD),
        ("REDIS_URL", &settings.redis_url, redis::PASSWORD),
    ];
    for (name, url, password) in stores {
        let password = fs::read_to_string(home.join(password)).unwrap_or_default();
        let password = password.trim_end();
        let is_own = !password.is_empty() && url.as_ref().is_some_and(|url| url.contains(password));
        anyhow::ensure!(
            !is_own,
            "{name}: is the address of the local store in {}, which `rollcall run` starts itself. Unset what was exported from \
             `rollcall env`: DATABASE_URL, REDIS_URL, KAFKA_BROKERS, ROLLCALL_URL",
            home.path().display()
        );
    }
    Ok(())
}

/// A running child and its address.
type Started = (Child, String);

async fn started(
    start: Option<impl Future<Output = anyhow::Result<Started>>>,
) -> anyhow::Result<Option<Started>> {
    match start {
        Some(start) => start.await.map(Some),
        None => Ok(None),
    }
}

fn set_address(started: Option<Started>, address: &mut Option<String>) -> Option<Child> {
    let (child, own) = started?;
    *address = Some(own);
    Some(child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exported_address_of_an_own_store_is_refused() {
        let directory = std::env::temp_dir().join(format!("rollcall-own-{}", std::process::id()));
        let home = Home::create(&directory).unwrap();
        let check = |url: &str| {
            let vars = [("DATABASE_URL".to_owned(), url.to_owned())];
            refuse_own(&home, &Settings::from_vars(vars, "127.0.0.1:8080").unwrap())
        };
        let (own, foreign) =
            ("postgres://rollcall:abc@127.0.0.1:1/rollcall", "postgres://rollcall:xyz@db/rollcall");
        assert!(check(own).is_ok(), "there is no local store yet");
        fs::write(home.join(postgres::PASSWORD), "").unwrap();
        assert!(check(foreign).is_ok(), "an empty file names no store");
        fs::write(home.join(postgres::PASSWORD), "abc\n").unwrap();
        assert!(check(own).unwrap_err().to_string().starts_with("DATABASE_URL: "));
        assert!(check(foreign).is_ok());
        fs::remove_dir_all(directory).unwrap();
    }
}
