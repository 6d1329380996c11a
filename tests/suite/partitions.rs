//! If topics get more partitions, a user's later events would be in another one. This is detected
//! and refused with advice that loses nothing, and copying the log repairs it.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::{Api, Cli, Deployment, Foreign, Output, Record, RedisServer, Service, Stack, read_topic, until};
use uuid::Uuid;

const TOPICS: [&str; 2] = ["users.events", "users.credentials"];
const CHANGED: &str = "the partition count of the log changed";
const USERS: usize = 40;

/// Gives a topic more partitions.
async fn alter(deployment: &Deployment, topic: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", deployment.brokers()).create().unwrap();
    let name = format!("{}{topic}", deployment.prefix);
    let (wanted, options) = (NewPartitions::new(&name, partitions), AdminOptions::new());
    let altered = admin.create_partitions([&wanted], &options);
    altered.await.unwrap().into_iter().for_each(|topic| drop(topic.expect("the topic is altered")));
}

/// Waits until the projector says why it does not fold.
async fn is_halted(deployment: &Deployment) {
    let url = format!("{}/health/ready", deployment.url(Service::Projector));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    until("the projector says that there are more partitions", async || {
        let answer = http.get(&url).send().await.ok()?;
        (answer.status() == 503 && answer.text().await.ok()?.contains(CHANGED)).then_some(())
    })
    .await;
}

async fn run(cli: &Cli, args: &'static [&'static str], code: i32) -> String {
    let output = output(cli, args, code).await;
    output.stdout + &output.stderr
}

/// The last JSON line that a verb prints.
async fn summary(cli: &Cli, args: &'static [&'static str]) -> Value {
    output(cli, args, 0).await.json_lines().pop().unwrap()["summary"].take()
}

async fn output(cli: &Cli, args: &'static [&'static str], code: i32) -> Output {
    let cli = cli.clone();
    tokio::task::spawn_blocking(move || cli.run(args)).await.unwrap().expect(code)
}

/// The advice does not lose data.
fn loses_nothing(said: &str) {
    assert!(said.contains(CHANGED) && said.contains("rollcall log copy --to-prefix"), "{said}");
    for word in ["delete", "--delete", "drop", "rm "] {
        assert!(!said.to_lowercase().contains(word), "{said}");
    }
}

/// Users with a few events each, and credentials for some.
async fn populate(deployment: &Deployment, api: &Api) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..USERS {
        let id = api.user(json!({ "n": n })).await;
        api.update(&id, json!({ "claims": { "n": n, "m": 1 } })).await.expect(200);
        ids.push(id);
    }
    let credential =
        |id: &String| json!({ "userId": id, "id": id, "type": "T", "profile": "compact" }).to_string();
    let lines: Vec<_> = ids.iter().map(credential).collect();
    let args = ["log", "import", "-", "--credentials", "--tenant", &api.tenant];
    deployment.cli.run_with(&args, &lines.join("\n")).expect(0);
    ids
}

async fn topic(deployment: &Deployment, prefix: &str, name: &str) -> Vec<Record> {
    read_topic(deployment.brokers(), &format!("{prefix}{name}")).await
}

/// All of each record except its place, by key and sequence.
fn contents(records: &[Record]) -> BTreeMap<String, Vec<(u64, String)>> {
    let mut keys: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for record in records {
        let sequence = record.find("ce_sequence").map_or(0, |sequence| sequence.parse().unwrap());
        let content = format!("{:?} {:?}", record.headers, record.value);
        keys.entry(record.key.clone()).or_default().push((sequence, content));
    }
    keys.values_mut().for_each(|records| records.sort());
    keys
}

/// The records of a key in each partition, in order.
fn sequences(records: &[Record], key: &str) -> Vec<u64> {
    let of_key = records.iter().filter(|record| record.key == key);
    of_key.map(|record| record.header("ce_sequence").parse().unwrap()).collect()
}

pub async fn more_partitions_are_rejected_and_repaired_by_a_copy(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let ids = populate(&deployment, &api).await;
    let users = api.all(100).await;
    let partitions: Option<i32> = sqlx::query_scalar("SELECT partitions FROM rollcall.logs")
        .fetch_one(&deployment.database)
        .await
        .unwrap();
    assert_eq!(partitions, Some(4), "the number is kept with the log");

    // One topic, then the other, while everything runs.
    alter(&deployment, TOPICS[0], 7).await;
    is_halted(&deployment).await;
    alter(&deployment, TOPICS[1], 6).await;
    // An older database does not record the number, nor its migrations.
    sqlx::raw_sql("ALTER TABLE rollcall.logs DROP COLUMN partitions; DROP TABLE rollcall.migrations")
        .execute(&deployment.database)
        .await
        .unwrap();
    deployment.stop(Service::Projector);
    deployment.launch(Service::Projector);
    is_halted(&deployment).await;
    for verb in [&["migrate"] as &[&str], &["projection", "rebuild", "--promote"], &["erasure", "audit"]] {
        loses_nothing(&run(&deployment.cli, verb, 1).await);
    }
    let line = json!({ "claims": {} }).to_string();
    let import = ["log", "import", "-", "--no-wait", "--tenant", &api.tenant];
    loses_nothing(&deployment.cli.run_with(&import, &line).expect(1).stderr);
    assert_eq!(api.all(100).await, users, "reads go on");

    // A writer that does not know goes on writing to the new partitions, so a user's events are in
    // two partitions now.
    let deletions: Vec<_> =
        ids.iter().take(20).map(|id| Foreign::deletion(&format!("{}/{id}", api.tenant), 3)).collect();
    let places = deployment.append(TOPICS[0], &deletions).await;
    assert!(places.iter().any(|(partition, _)| *partition > 3), "some lie in new partitions");
    let changed = |id: &String| {
        let fact = json!({ "id": id, "status": "revoked" }).to_string();
        Foreign::event(&format!("{}/{id}", api.tenant), "credential.status-changed.v1", fact)
    };
    deployment.append(TOPICS[1], &ids.iter().skip(20).map(changed).collect::<Vec<_>>()).await;

    is_copied(&mut deployment, &api, &ids, users).await;
}

async fn is_copied(deployment: &mut Deployment, api: &Api, ids: &[String], before: Vec<Value>) {
    Service::ALL.into_iter().for_each(|service| deployment.stop(service));
    let mut log = deployment.log().await;
    log.sort_by_key(|record| record.header("ce_sequence").parse::<u64>().unwrap());
    let mut old = Vec::new();
    for name in TOPICS {
        old.push(topic(deployment, &deployment.prefix, name).await);
    }
    let prefix: &'static str = format!("{}copy.", deployment.prefix).leak();
    let copy: &'static [&str] =
        vec!["log", "copy", "--to-prefix", prefix, "--partitions", "5", "--json"].leak();
    let report = summary(&deployment.cli, copy).await;
    assert_eq!(report["madeWith"], 4, "{report}");
    for (n, name) in TOPICS.into_iter().enumerate() {
        let copied = topic(deployment, prefix, name).await;
        assert_eq!(report["topics"][n]["records"], copied.len(), "{report}");
        assert_eq!(contents(&copied), contents(&old[n]), "{name} is the same");
        let again = topic(deployment, &deployment.prefix, name).await;
        assert_eq!(again.len(), old[n].len(), "{name} is untouched");
        assert!(report["topics"][n]["joinedUsers"].as_u64().unwrap() > 0, "{report}");
        if n == 0 {
            for record in &copied {
                let sequences = sequences(&copied, &record.key);
                assert!(sequences.is_sorted(), "{}: {sequences:?}", record.key);
            }
        }
    }
    assert!(run(&deployment.cli, copy, 1).await.contains("choose another prefix"));

    let cli = deployment.cli.clone().set("ROLLCALL_TOPIC_PREFIX", prefix).set("ROLLCALL_PARTITIONS", "5");
    run(&cli, &["migrate"], 0).await;
    let report = summary(&cli, &["projection", "rebuild", "--promote", "--json"]).await;
    assert_eq!(report["setAside"]["records"], 0, "{report}");
    let extra = [("ROLLCALL_TOPIC_PREFIX", prefix), ("ROLLCALL_PARTITIONS", "5")];
    for service in Service::ALL {
        deployment.launch_instance(service, 0, &extra);
    }
    for service in Service::ALL {
        deployment.ready(service).await;
    }
    // The deletions in the new partitions are folded after the records in the old ones.
    let left: Vec<Value> =
        before.into_iter().filter(|user| !ids[..20].iter().any(|id| user["id"] == id.as_str())).collect();
    assert_eq!(api.all(100).await, left);
    assert_eq!(
        left,
        tests::fold(&log).page(&api.tenant),
        "as somebody folds it who goes by the sequence alone"
    );
    for id in &ids[20..] {
        let credentials = api.credentials(id, "").await.expect(200).json();
        assert_eq!(credentials["data"][0]["status"], "revoked", "{credentials}");
    }
    let id = api.user(json!({ "life": "goes on" })).await;
    api.update(&id, json!({ "claims": {} })).await.expect(200);
    until("the new change has its analytic event", async || {
        let told = topic(deployment, prefix, "users.analytics").await;
        let success = |record: &&Record| record.header("ce_type").ends_with("UPDATE_SUCCESS");
        (told.iter().filter(success).count() == 1).then_some(())
    })
    .await;
}

/// A build that can't read the events of one request.
const BAD_BUILD: (&str, &str) = ("FAILPOINTS", "record.poison=return");

pub async fn a_rebuild_that_sets_more_aside_is_not_promoted(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let ids = populate(&deployment, &api).await;
    let poison = async |ids: &[String]| {
        for id in ids {
            let update = api.update(id, json!({ "claims": { "n": 9 } }));
            update.header("X-Request-Id", "x-poison").await.expect(200);
        }
    };
    poison(&ids[..3]).await;
    let users = api.all(1_000).await;
    let bad = deployment.cli.clone().set(BAD_BUILD.0, BAD_BUILD.1);

    let said = run(&bad, &["projection", "rebuild", "--promote", "--json"], 1).await;
    let summary: Value =
        serde_json::from_str(said.lines().find(|line| line.contains("summary")).unwrap()).unwrap();
    let summary = &summary["summary"];
    assert_eq!((&summary["promoted"], &summary["retired"]), (&json!(false), &Value::Null), "{summary}");
    assert_eq!(
        (&summary["setAside"]["users"], &summary["setAsideBefore"]["records"]),
        (&json!(3), &json!(0))
    );
    let reason = json!([{ "reason": "bad-data", "records": 3 }]);
    assert_eq!(summary["setAside"]["reasons"], reason);
    assert!(said.contains("--accept-set-aside"), "{said}");
    assert_eq!(api.all(1_000).await, users);
    api.create(json!({})).await.expect(201);

    let told = run(&bad, &["projection", "rebuild", "--promote"], 1).await;
    assert!(told.contains("set aside: 3 records, 3 users parked"), "{told}");
    assert!(told.contains("3  bad-data"), "{told}");

    // Too many dead letters end it early.
    let lines: Vec<_> = (0..70).map(|n| json!({ "claims": { "more": n } }).to_string()).collect();
    deployment.cli.run_with(&["log", "import", "-", "--tenant", &api.tenant], &lines.join("\n")).expect(0);
    let all: Vec<String> =
        api.all(1_000).await.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    poison(&all).await;
    let said = run(&bad, &["projection", "rebuild", "--promote"], 1).await;
    assert!(said.contains("has given up"), "{said}");

    // First the good build, then an operator who insists.
    run(&deployment.cli, &["projection", "rebuild", "--promote"], 0).await;
    let said = run(&bad, &["projection", "rebuild", "--promote", "--accept-set-aside"], 0).await;
    assert!(said.contains("is live"), "{said}");
    assert_eq!(api.get(&Uuid::new_v4().to_string()).await.status, 404);
}
