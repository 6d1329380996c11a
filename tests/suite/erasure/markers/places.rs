//! All places where a stack stores or prints data.

use super::bytes::forms;
use aho_corasick::AhoCorasick;
use sqlx::{AssertSqlSafe, PgPool};
use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};
use tests::Stack;

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, and its owner.
    File(&'static str, PathBuf),
    /// Health and metrics of the services.
    Metrics,
    /// The log, decrypted with all existing keys.
    OpenedLog,
}

impl Place {
    /// The owner of the place.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(kind, _) => kind,
            Self::Metrics => "metrics",
            Self::OpenedLog => "opened log",
        }
    }
}

/// The markers that were found, and where.
pub struct Found {
    /// Each place, with the encoding that was found there.
    pub places: Vec<(Place, &'static str)>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.places).finish()
    }
}

/// The places of a stack.
pub struct Places {
    stack: &'static Stack,
    database: PgPool,
}

impl Places {
    pub async fn of(stack: &'static Stack) -> Self {
        let database = PgPool::connect(stack.var("DATABASE_URL")).await.unwrap();
        Self { stack, database }
    }

    /// Flushes memory to disk, and removes from disk what the databases do not use any more. An
    /// operator can do this after an erasure instead of waiting.
    pub async fn settle(&self) {
        let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname ~ '^(rollcall|generation|projection)'";
        for table in sqlx::query_scalar::<_, String>(tables).fetch_all(&self.database).await.unwrap() {
            self.run(&format!("VACUUM FULL {table}")).await;
        }
        self.run("ANALYZE").await;
        self.run("VACUUM FULL pg_statistic").await;
        // The last WAL segment contains no earlier data.
        for _ in 0..2 {
            self.run("SELECT pg_switch_wal()").await;
            self.run("CHECKPOINT").await;
        }
        let client = redis::Client::open(self.stack.var("REDIS_URL")).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("SAVE").exec_async(&mut connection).await.unwrap();
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.database)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Whether PostgreSQL has vacuumed the deleted rows of both generations.
    pub async fn is_vacuumed(&self) -> bool {
        let tables = "SELECT count(*) FILTER (WHERE vacuum_count = 0) = 0 FROM pg_stat_user_tables \
            WHERE schemaname ~ '^generation_' AND relname IN ('users', 'credentials', 'dead_letters') \
            OR schemaname ~ '^projection_' AND relname = 'links'";
        sqlx::query_scalar(tables).fetch_one(&self.database).await.unwrap()
    }

    /// Searches all places for texts in all encodings.
    pub async fn look_for(&self, texts: &[String]) -> Found {
        let wanted = Wanted::new(texts);
        let mut found = Found { places: Vec::new() };
        for (kind, path) in files(&self.stack.home) {
            // A file that is deleted meanwhile contains nothing.
            let Ok(bytes) = fs::read(&path) else { continue };
            found.look(&Place::File(kind, path), &bytes, &wanted);
        }
        let metrics =
            reqwest::get(format!("{}/metrics", self.stack.url())).await.unwrap().bytes().await.unwrap();
        found.look(&Place::Metrics, &metrics, &wanted);
        for record in self.stack.log().await {
            found.look(&Place::OpenedLog, &record.value, &wanted);
        }
        found
    }
}

/// The search patterns.
struct Wanted {
    names: Vec<&'static str>,
    bytes: AhoCorasick,
}

impl Wanted {
    fn new(texts: &[String]) -> Self {
        let (names, bytes): (Vec<_>, Vec<_>) = texts.iter().flat_map(|text| forms(text)).unzip();
        Self { names, bytes: AhoCorasick::new(bytes).unwrap() }
    }
}

impl Found {
    fn look(&mut self, place: &Place, bytes: &[u8], wanted: &Wanted) {
        let found: BTreeSet<_> =
            wanted.bytes.find_iter(bytes).map(|found| wanted.names[found.pattern().as_usize()]).collect();
        self.places.extend(found.into_iter().map(|form| (place.clone(), form)));
    }
}

/// All files of a stack, by owner.
fn files(home: &Path) -> Vec<(&'static str, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        let kind = match path.file_name().unwrap().to_str().unwrap() {
            "postgres" => "postgres",
            "kafka" => "kafka",
            "dump.rdb" => "redis",
            "logs" | "run.log" => "logs",
            _ => "home",
        };
        collect(kind, &path, &mut found);
    }
    for kind in ["postgres", "kafka", "redis", "logs"] {
        assert!(found.iter().any(|(of, _)| *of == kind), "no files of {kind}");
    }
    found
}

fn collect(kind: &'static str, path: &Path, found: &mut Vec<(&'static str, PathBuf)>) {
    match fs::read_dir(path) {
        Ok(entries) => entries.for_each(|entry| collect(kind, &entry.unwrap().path(), found)),
        Err(_) => found.push((kind, path.to_owned())),
    }
}
