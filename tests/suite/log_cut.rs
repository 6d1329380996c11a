//! The beginning of the log is lost. Everything that reads the log reports it. If unfolded records
//! are lost, an operator can accept the loss after seeing it.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::{Deployment, Output, RedisServer, Service, Stack, until};

const CUT: &str = "the log was cut";

/// Deletes the records of `users.events` before these offsets.
pub async fn cut(deployment: &Deployment, before: &BTreeMap<i32, i64>) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", deployment.brokers()).create().unwrap();
    let (mut list, name) = (TopicPartitionList::new(), format!("{}users.events", deployment.prefix));
    for (partition, offset) in before {
        list.add_partition_offset(&name, *partition, Offset::Offset(*offset)).unwrap();
    }
    let options = AdminOptions::new();
    admin.delete_records(&list, &options).await.expect("the log is cut");
}

async fn run(deployment: &Deployment, args: &[&str], code: i32) -> Output {
    let (cli, args) = (deployment.cli.clone(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    let ran =
        tokio::task::spawn_blocking(move || cli.run(&args.iter().map(String::as_str).collect::<Vec<_>>()));
    ran.await.unwrap().expect(code)
}

/// Why the projector considers the log unsound. `None` if it does not.
async fn log_of(deployment: &Deployment) -> Option<(u16, Option<String>)> {
    let url = format!("{}/health/ready", deployment.url(Service::Projector));
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.ok()?;
    let status = answer.status().as_u16();
    let report: Value = answer.json().await.ok()?;
    let log = &report["dependencies"]["log"];
    log["status"].as_str()?;
    Some((status, log["reason"].as_str().map(str::to_owned)))
}

async fn health_says(deployment: &Deployment, words: &str) {
    until(&format!("the projector is ready and says of the log: {words}"), async || {
        let (status, reason) = log_of(deployment).await?;
        (status == 200 && reason.is_some_and(|reason| reason.contains(words))).then_some(())
    })
    .await;
}

async fn health_says_nothing(deployment: &Deployment) {
    until("nothing is wrong with the log", async || (log_of(deployment).await? == (200, None)).then_some(()))
        .await;
}

/// The number of records of each partition of `users.events`.
async fn ends(deployment: &Deployment) -> BTreeMap<i32, i64> {
    let mut ends = BTreeMap::new();
    for record in deployment.log().await {
        ends.insert(record.partition, record.offset + 1);
    }
    ends
}

fn restart(deployment: &mut Deployment) {
    deployment.stop(Service::Projector);
    deployment.launch(Service::Projector);
}

pub async fn a_cut_log_is_named_by_everything_that_reads_it(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let (mut ids, mut partitions) = (Vec::new(), BTreeSet::new());
    // Each partition is cut.
    while ids.len() < 24 || partitions.len() < 4 {
        let user = api.create(json!({ "claims": { "n": ids.len() } })).await.expect(201);
        api.update(&user.id(), json!({ "claims": { "m": 1 } })).await.expect(200);
        partitions.insert(user.position().0);
        ids.push(user.id());
    }
    api.delete(&ids[0]).await.expect(204);
    let users = api.all(100).await;
    let (gone, kept) = (ids[0].clone(), ids[1].clone());
    let of = async |verb: &[&str], id: &str, code| {
        run(&deployment, &[verb, &["--tenant", &api.tenant, "--user", id]].concat(), code).await
    };
    of(&["erasure", "prove"], &gone, 0).await;
    // An odd offset, so that users lose their creation and keep their update.
    let half =
        ends(&deployment).await.into_iter().map(|(partition, end)| (partition, (end / 2) | 1)).collect();
    cut(&deployment, &half).await;

    assert!(run(&deployment, &["migrate"], 0).await.stderr.contains(CUT));
    let status = run(&deployment, &["projection", "status", "--json"], 0).await.json();
    assert_eq!(status["cuts"].as_array().unwrap().len(), 4, "{status}");
    assert_eq!(status["cuts"][0]["accepted"], false);
    let export = of(&["users", "export"], &kept, 1).await;
    assert_eq!(export.json()["complete"], false, "{export:?}");
    assert!(export.json()["incomplete"].as_str().unwrap().contains("begins at offset"), "{export:?}");
    let proof = of(&["erasure", "prove"], &gone, 1).await;
    assert!(proof.stderr.contains(CUT) && proof.stderr.contains("--from-cut"), "{proof:?}");
    of(&["erasure", "prove", "--from-cut"], &gone, 0).await;
    assert!(run(&deployment, &["erasure", "audit"], 1).await.stderr.contains(CUT));
    run(&deployment, &["erasure", "audit", "--from-cut"], 0).await;

    let refused = run(&deployment, &["projection", "rebuild", "--promote"], 1).await;
    assert!(refused.stderr.contains(CUT) && refused.stderr.contains("--from-cut"), "{refused:?}");
    let refused = run(&deployment, &["projection", "rebuild", "--promote", "--from-cut"], 1).await;
    assert!(refused.stdout.contains(CUT) && refused.stderr.contains("--accept-set-aside"), "{refused:?}");
    assert_eq!(api.all(100).await, users, "the live generation knows more than the log");
    assert!(run(&deployment, &["log", "copy", "--to-prefix", "no."], 1).await.stderr.contains("--from-cut"));

    restart(&mut deployment);
    health_says(&deployment, "begins at offset").await;
    let shown = run(&deployment, &["projection", "accept-cut"], 1).await;
    assert!(shown.stdout.contains("everything that was cut off is folded"), "{shown:?}");
    run(&deployment, &["projection", "accept-cut", "--yes"], 2).await;
    run(&deployment, &["projection", "accept-cut", "--yes", "--lose", "0"], 0).await;
    assert!(!run(&deployment, &["migrate"], 0).await.stderr.contains(CUT), "it is not reported any more");
    restart(&mut deployment);
    health_says_nothing(&deployment).await;
    let proof = run(&deployment, &["erasure", "prove", "--tenant", &api.tenant, "--user", &gone], 1).await;
    assert!(proof.stderr.contains(CUT), "a proof says it all the same: {proof:?}");
}

pub async fn a_cut_with_lost_records_is_accepted_with_their_number(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "folded": true })).await;
    deployment.stop(Service::Projector);
    for n in 0..20 {
        api.create(json!({ "claims": { "lost": n } })).header("Prefer", "respond-async").await.expect(202);
    }
    cut(&deployment, &ends(&deployment).await).await;
    deployment.launch(Service::Projector);
    let url = format!("{}/health/ready", deployment.url(Service::Projector));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let said = until("the projector says what is lost", async || {
        let said = http.get(&url).send().await.ok()?.text().await.ok()?;
        said.contains("the log was cut past what is folded").then_some(said)
    });
    let said = said.await;
    assert!(said.contains("accept-cut") && said.contains("offsets"), "{said}");

    let shown = run(&deployment, &["projection", "accept-cut", "--json"], 1).await;
    assert_eq!((&shown.json()["lostOffsets"], &shown.json()["accepted"]), (&json!(20), &json!(false)));
    let wrong = run(&deployment, &["projection", "accept-cut", "--yes", "--lose", "19"], 1).await;
    assert!(wrong.stderr.contains("20 offsets are lost, not 19"), "{wrong:?}");
    assert!(!run(&deployment, &["projection", "status", "--json"], 0).await.json()["paused"].is_null());
    let done = run(&deployment, &["projection", "accept-cut", "--yes", "--lose", "20", "--json"], 0).await;
    assert_eq!(done.json()["accepted"], true);

    deployment.ready(Service::Projector).await;
    api.get(&id).await.expect(200);
    assert_eq!(api.all(100).await.len(), 1);
    api.update(&id, json!({ "claims": { "life": "goes on" } })).await.expect(200);
    api.create(json!({})).await.expect(201);
    let lost: i64 =
        sqlx::query_scalar("SELECT sum(first_offset - lost_from)::bigint FROM rollcall.accepted_cuts")
            .fetch_one(&deployment.database)
            .await
            .unwrap();
    assert_eq!(lost, 20, "the accepted cut is recorded");
}
