//! The environment of the programs: shell variables, the home, file permissions, and poolers.

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use std::{fs, path::Path, process::Command, time::Duration};
use tests::{Cli, Process, Stack, free_port, new_database, scratch, until};
use uuid::Uuid;

/// Variables of a developer's shell. Each would break the start.
const SHELL: [(&str, &str); 10] = [
    ("PGSSLMODE", "require"),
    ("PGOPTIONS", "-c statement_timeout=1"),
    ("PGHOST", "192.0.2.1"),
    ("PGSSLROOTCERT", "/nonexistent"),
    ("JAVA_TOOL_OPTIONS", "-Xmx1k"),
    ("KAFKA_OPTS", "-Xmx1k"),
    ("MAVEN_OPTS", "-Xmx1k"),
    ("https_proxy", "http://192.0.2.1:1"),
    ("TOKIO_WORKER_THREADS", "none"),
    ("LC_ALL", "xx_XX.none"),
];

/// Characters with a meaning in configurations, class paths, lists or shells.
const ODD: &str = "o\"d'd %s \\ ,;:*${x}#=höme";

pub async fn foreign_variables_and_an_odd_home_change_nothing() {
    let home = scratch("odd").join(ODD);
    let stack = {
        let home = home.clone();
        tokio::task::spawn_blocking(move || Stack::start_in(&home, &SHELL)).await.unwrap()
    };
    let api = stack.tenant();
    let id = api.user(json!({ "a": 1 })).await;
    api.get(&id).await.expect(200);
    let cli = SHELL.iter().fold(stack.cli(), |cli, (name, value)| cli.set(name, value));
    cli.run(&["projection", "status"]).expect(0);
    stack.stop().unwrap();
}

/// Every verb that needs a store.
const VERBS: [&[&str]; 12] = [
    &["env"],
    &["migrate"],
    &["log", "stats"],
    &["log", "tail"],
    &["log", "import", "/dev/null", "--tenant", "acme"],
    &["projection", "status"],
    &["projection", "list"],
    &["projection", "pause"],
    &["dead-letters", "list"],
    &["keys", "status"],
    &["erasure", "audit"],
    &["users", "export", "--tenant", "acme", "--user", "6f1c1c0e-0000-4000-8000-000000000000"],
];

pub async fn every_verb_reports_that_nothing_runs() {
    let (dir, nowhere) = (scratch("empty"), scratch("nowhere"));
    let home = dir.join(".rollcall");
    let cli = Cli::with(Default::default())
        .set("ROLLCALL_HOME", home.to_str().unwrap())
        .set("HOME", nowhere.join("none").to_str().unwrap());
    for verb in VERBS {
        let said = cli.run(verb).expect(1).stderr;
        let wanted = format!("no service is running in {} and ", home.display());
        assert!(said.contains(&wanted) && said.contains("make run"), "{verb:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{verb:?}: {said}");
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "and creates nothing there");
}

pub async fn a_token_needs_an_existing_service() {
    let home = scratch("keyless");
    let cli = Cli::with(Default::default()).set("ROLLCALL_HOME", home.to_str().unwrap());
    let said = cli.run(&["token", "--tenant", "acme"]).expect(1);
    assert!(said.stdout.is_empty(), "{said:?}");
    assert!(
        said.stderr.contains(home.to_str().unwrap()) && said.stderr.contains("ROLLCALL_HOME"),
        "{said:?}"
    );
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "no key pair is made");
}

pub async fn an_unreadable_env_file_is_named(stack: &'static Stack) {
    let home = scratch("theirs");
    // Nobody can read this one as a file, not even root.
    fs::create_dir(home.join("env")).unwrap();
    let cli = Cli::with(Default::default()).set("ROLLCALL_HOME", home.to_str().unwrap());
    for verb in VERBS {
        let said = cli.run(verb).expect(1).stderr;
        let path = home.join("env").display().to_string();
        assert!(said.contains(&path) && said.contains("run this as that user"), "{verb:?}: {said}");
    }
    let stores = ["DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS"];
    let cli = stores.iter().fold(cli, |cli, name| cli.set(name, stack.var(name)));
    cli.run(&["projection", "list"]).expect(0);
}

/// Settings with a database and topics of its own.
fn apart(stack: &Stack, prefix: &str, database_url: &str) -> Cli {
    Cli::with(Default::default())
        .set("ROLLCALL_HOME", scratch(prefix).to_str().unwrap())
        .set("ROLLCALL_TOPIC_PREFIX", &format!("{prefix}."))
        .set("DATABASE_URL", database_url)
        .set("REDIS_URL", stack.var("REDIS_URL"))
        .set("KAFKA_BROKERS", stack.var("KAFKA_BROKERS"))
}

fn name() -> String {
    format!("e{}", &Uuid::new_v4().simple().to_string()[..12])
}

async fn has_topics(stack: &Stack, prefix: &str) -> bool {
    let (brokers, prefix) = (stack.var("KAFKA_BROKERS").to_owned(), format!("{prefix}."));
    let ask = move || {
        let mut config = ClientConfig::new();
        let consumer: BaseConsumer = config.set("bootstrap.servers", brokers).create().unwrap();
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(30)).unwrap();
        metadata.topics().iter().any(|topic| topic.name().starts_with(&prefix))
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

pub async fn a_missing_right_is_named_with_its_grant(stack: &'static Stack) {
    let name = name();
    let (url, database) = new_database(stack, &name).await;
    let role = format!("CREATE ROLE {name} LOGIN PASSWORD 'secret'");
    sqlx::query(AssertSqlSafe(role)).execute(&database).await.unwrap();
    let (_, server) = url.split_once('@').unwrap();
    let cli = apart(stack, &name, &format!("postgres://{name}:secret@{server}"));

    let said = cli.run(&["migrate"]).expect(1).stderr;
    let (_, grant) = said.split_once("must run: ").unwrap_or_else(|| panic!("{said}"));
    let (grant, _) = grant.split_once(". Nothing was created").unwrap_or_else(|| panic!("{said}"));
    assert!(said.contains("DATABASE_URL") && grant.starts_with("GRANT CREATE ON DATABASE"), "{said}");
    assert!(!has_topics(stack, &name).await, "no topic is made before the schema can be");
    assert_eq!(fs::read_dir(scratch_of(&cli)).unwrap().count(), 0, "nor a master key");

    sqlx::query(AssertSqlSafe(grant.to_owned())).execute(&database).await.unwrap();
    let made = cli.run(&["migrate"]).expect(0).stdout;
    let topic = format!("created topic {name}.users.events with 12 partitions");
    assert!(made.contains(&topic) && made.contains("created rollcall.generations\n"), "{made}");
    let again = cli.run(&["migrate"]).expect(0).stdout;
    assert!(again.starts_with("nothing to do") && again.lines().count() == 1, "{again}");
    let json = cli.run(&["migrate", "--json"]).expect(0).json();
    assert_eq!(json, json!({ "made": { "topics": [], "tables": [] } }));

    database.close().await;
    the_schema_of_another_role_is_named(stack, &url, &name).await;
}

async fn the_schema_of_another_role_is_named(stack: &Stack, url: &str, owner: &str) {
    let other = name();
    let database = PgPool::connect(url).await.unwrap();
    for sql in [
        format!("CREATE ROLE {other} LOGIN PASSWORD 'secret'"),
        format!("GRANT CREATE ON DATABASE {owner} TO {other}"),
    ] {
        sqlx::query(AssertSqlSafe(sql)).execute(&database).await.unwrap();
    }
    database.close().await;
    let (_, server) = url.split_once('@').unwrap();
    let said = apart(stack, &other, &format!("postgres://{other}:secret@{server}")).run(&["migrate"]);
    let grant = format!("GRANT {owner} TO {other}");
    assert!(said.expect(1).stderr.contains(&grant));
}

fn scratch_of(cli: &Cli) -> &Path {
    Path::new(cli.setting("ROLLCALL_HOME"))
}

/// PgBouncer before the stack's PostgreSQL.
async fn pgbouncer(stack: &Stack, more: &str) -> (Process, u16) {
    let (dir, port) = (scratch("pgbouncer"), free_port());
    let url = reqwest::Url::parse(stack.var("DATABASE_URL")).unwrap();
    let (user, password) = (url.username(), url.password().unwrap());
    let server = format!("host=127.0.0.1 port={} user={user} password={password}", url.port().unwrap());
    let configuration = format!(
        "[databases]\n* = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = any\n{more}\n"
    );
    let file = dir.join("pgbouncer.ini");
    fs::write(&file, configuration).unwrap();
    // PgBouncer refuses to run as root. It must be able to read its file, which a closed directory
    // may prevent.
    let mut command = Command::new("sh");
    let nobody = if nix::unistd::geteuid().is_root() { "-u nobody " } else { "" };
    command.args(["-c", &format!("exec pgbouncer {nobody}\"$0\"")]).arg(&file);
    let process = Process::start(&command, &dir.join("log"));
    until("PgBouncer listens", async || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;
    (process, port)
}

pub async fn a_pooler_is_named(stack: &'static Stack) {
    for (mode, more) in [
        ("transaction", ""),
        ("session", ""),
        ("transaction", "ignore_startup_parameters = extra_float_digits,options"),
    ] {
        let (_process, port) = pgbouncer(stack, &format!("pool_mode = {mode}\n{more}")).await;
        let name = name();
        let (_, database) = new_database(stack, &name).await;
        database.close().await;
        let cli = apart(stack, &name, &format!("postgres://x@127.0.0.1:{port}/{name}"));
        let said = cli.run(&["migrate"]).expect(1).stderr;
        assert!(said.contains("DATABASE_URL") && said.contains("pooler"), "{mode} {more}: {said}");
        assert!(said.contains("Connect to PostgreSQL directly"), "{mode} {more}: {said}");
        assert!(!has_topics(stack, &name).await, "{mode}: nothing is made");
    }
}
