//! A bad build parks what it can't read. The fixed build folds it and the queue behind it, in the
//! order of the log.

use super::bench::{Bench, Created, texts};
use serde_json::json;
use tests::{Answer, Service, Stack};

/// A build that can't read the events of one request.
const BAD_BUILD: (&str, &str) = ("FAILPOINTS", "record.poison=return");
/// The id of that request.
const UNREADABLE: &str = "x-poison";
const REASON: &str = "this build can't read it";

pub async fn a_fixed_build_folds_the_queue_in_order(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let user = bench.create().await;
    bad_update(&bench, &user).await.expect(200);
    for n in [11, 12] {
        bench.update(&user.id, n).await.expect(200);
    }

    // The bad build folds all of that again, and more is appended.
    let settings = [BAD_BUILD];
    bench.deployment.launch_instance(Service::Projector, 0, &settings);
    bench.deployment.ready(Service::Projector).await;
    bench.rebuild(&bench.cli().clone().set(BAD_BUILD.0, BAD_BUILD.1)).await;
    bench.all_partitions_go_on().await;
    let second = bench.create().await;
    let durable = bad_update(&bench, &second).await.expect(202);
    for user in [&user, &second] {
        bench.is_parked(user, 1).await;
    }
    assert_eq!(texts(&bench.letters_of(&user), "reason"), ["bad-data", "queued", "queued"]);
    assert_eq!(texts(&bench.letters_of(&second), "reason"), ["bad-data"]);
    still_fails(&bench, &user);

    // The fixed build.
    bench.deployment.crash(Service::Projector).await;
    bench.is_parked(&user, 1).await;
    let args = ["retry", "--user", &user.id];
    assert_eq!(
        bench.dead_letters(&args).expect(0).stdout.trim(),
        "3 dead letters settled, nothing left of what was named"
    );
    shows(&bench, &user, 4, 12).await;
    let id = &texts(&bench.letters_of(&second), "id")[0];
    let outcome = bench.dead_letters(&["retry", id, "--json"]).expect(0).json();
    assert_eq!(outcome, json!({ "settled": 1, "left": 0, "reason": null, "detail": null }));
    assert_eq!(bench.api.get(&second.id).await.expect(200).header("etag"), durable.header("etag"));
    shows(&bench, &second, 2, 10).await;
    for user in [&user, &second] {
        bench.goes_on(user).await;
    }
    bench.dead_letters(&["retry", id]).expect(1);
    assert!(bench.letters().is_empty());
}

/// An update that the bad build can't read.
async fn bad_update(bench: &Bench, user: &Created) -> Answer {
    let update = bench.api.update(&user.id, json!({ "claims": { "n": 10 } }));
    update.header("X-Request-Id", UNREADABLE).await
}

/// Exits with 1 and the reason, and changes nothing.
fn still_fails(bench: &Bench, user: &Created) {
    let before = bench.letters_of(user);
    let last = before.last().unwrap()["id"].as_str().unwrap();
    let retried = bench.dead_letters(&["retry", last]).expect(1);
    assert!(
        retried.stdout.contains("0 dead letters settled, 3 dead letters of the same queue left"),
        "{retried:?}"
    );
    assert!(retried.stderr.contains(REASON), "{retried:?}");
    assert_eq!(bench.letters_of(user), before);
}

async fn shows(bench: &Bench, user: &Created, version: u64, n: u32) {
    let shown = bench.api.get(&user.id).await.expect(200);
    assert_eq!((shown.version(), &shown.json()["claims"]), (version, &json!({ "n": n })));
    let found = bench.api.search(json!({ "claims": { "n": n } })).await.expect(200).ids();
    assert!(found.contains(&user.id), "{found:?}");
}
