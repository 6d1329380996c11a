//! Events of a second version. Test builds read `user.updated.v2`; a log with both versions gives the
//! same read model as a log with the first one alone.

use super::rebuild::populate;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{Api, Cli, Deployment, Keyring, RawRecord, RedisServer, Service, Stack, append_raw, read_raw};

const PREFIX: &str = "ROLLCALL_TOPIC_PREFIX";
/// A word in the claims of a user who is deleted.
const MARKER: &str = "to-be-forgotten";

/// What `projection verify` says of a new generation of the log with this prefix.
async fn digest(cli: &Cli) -> Value {
    let cli = cli.clone();
    let compared = tokio::task::spawn_blocking(move || {
        cli.run(&["projection", "rebuild"]).expect(0);
        cli.run(&["projection", "verify", "--json"]).expect(0).json_lines()
    });
    let summary = compared.await.unwrap().pop().expect("a summary")["summary"].clone();
    assert!(summary["digest"].is_string(), "{summary}");
    json!({ "digest": summary["digest"], "tables": summary["tables"] })
}

/// The log with every second update in the second version. Returns the users with such updates, too.
async fn with_both_versions(deployment: &Deployment) -> (Vec<RawRecord>, BTreeSet<String>) {
    let first = read_raw(deployment.brokers(), &deployment.prefix).await;
    let keyring = Keyring::read(deployment.home(), &deployment.keys).await;
    let (mut both, mut users, mut updates) = (Vec::new(), BTreeSet::new(), 0);
    for record in first {
        let second = keyring.as_second_version(&record);
        updates += usize::from(second.is_some());
        match second.filter(|_| updates % 2 == 1) {
            Some(second) => {
                users.insert(second.header("ce_subject").unwrap().to_owned());
                both.push(second);
            }
            None => both.push(record),
        }
    }
    assert!(users.len() > 3 && updates > 2 * users.len() / 2, "{updates} updates of {users:?}");
    (both, users)
}

pub async fn a_log_with_two_versions_gives_the_same_digest(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    populate(&deployment, &api, 16).await;
    let gone = api.user(json!({ "n": 1 })).await;
    api.update(&gone, json!({ "claims": { "word": MARKER } })).await.expect(200);
    api.delete(&gone).await.expect(204);
    let of_the_first = digest(&deployment.cli).await;
    let shown = api.all(100).await;
    for service in Service::ALL {
        deployment.stop(service);
    }

    // Topics with another prefix are another log.
    let prefix = format!("two{}", deployment.prefix);
    let cli = deployment.cli.clone().set(PREFIX, &prefix);
    cli.run(&["migrate"]).expect(0);
    let (both, users) = with_both_versions(&deployment).await;
    append_raw(deployment.brokers(), &prefix, &both).await;
    cli.run(&["projection", "rebuild", "--promote", "--unverified"]).expect(0);
    assert_eq!(digest(&cli).await, of_the_first, "folded by a rebuild, and by following");

    for service in Service::ALL {
        deployment.launch_instance(service, 0, &[(PREFIX, &prefix)]);
    }
    for service in Service::ALL {
        deployment.ready(service).await;
    }
    assert_eq!(api.all(100).await, shown);
    let second =
        shown.iter().map(|user| user["id"].as_str().unwrap()).find(|id| users.contains(*id)).unwrap();
    writes_go_on(&api, second).await;
    everything_else_reads_it(&cli, &api, second, &gone);
}

/// A user whose last update is of the second version is updated with the one that is written.
async fn writes_go_on(api: &Api, id: &str) {
    let updated = api.update(id, json!({ "claims": { "version": "first again" } })).await.expect(200);
    let shown = api.get(id).header("Read-After", updated.header("log-position")).await.expect(200);
    assert_eq!(
        (shown.version(), &shown.json()["claims"]["version"]),
        (updated.version(), &json!("first again"))
    );
}

/// An export opens it, and an erasure judges it.
fn everything_else_reads_it(cli: &Cli, api: &Api, living: &str, gone: &str) {
    let of = |id: &str| ["--tenant".to_owned(), api.tenant.clone(), "--user".to_owned(), id.to_owned()];
    let run = |verb: [&str; 2], id: &str| {
        let args: Vec<String> = verb.map(str::to_owned).into_iter().chain(of(id)).collect();
        cli.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0)
    };
    let export = run(["users", "export"], living).json();
    let events = export["events"].as_array().unwrap();
    let second: Vec<_> = events.iter().filter(|event| event["type"] == "user.updated.v2").collect();
    assert!(
        !second.is_empty() && second.iter().all(|event| event["personal"]["claims"].is_object()),
        "{export}"
    );
    run(["erasure", "prove"], gone);
    cli.run(&["erasure", "audit"]).expect(0);
    run(["projection", "repair"], living);
}
