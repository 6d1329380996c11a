//! Migrates dead letters of an older build, which stored reasons as text, and no owner for records
//! in other partitions.

use super::bench::{Bench, PARTITIONS, letter_id, texts};
use serde_json::json;
use tests::{Foreign, Service, Stack, until};

pub async fn reasons_stored_as_text_become_codes(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let (user, other) = (bench.create().await, bench.create().await);
    let records = [
        Foreign::deletion(&user.key, 7),
        Foreign::deletion(&user.key, 8),
        Foreign::deletion(&other.key, 2).into_partition((other.partition + 1) % PARTITIONS),
    ];
    let places = bench.deployment.append("users.events", &records).await;
    until("all are set aside", async || (bench.letters().len() == records.len()).then_some(())).await;
    bench.deployment.stop(Service::Projector);
    let [gap, queued, astray] = [places[0], places[1], places[2]].map(|at| letter_id("users", at));
    let said = |id: &str, text: &str| {
        format!(
            "UPDATE generation_1.dead_letters SET reason = '{text}' WHERE topic || ':' || partition || ':' || log_offset = '{id}';"
        )
    };
    let old = [
        "DROP TABLE rollcall.migrations; DROP VIEW live.dead_letters; ALTER TABLE generation_1.dead_letters DROP COLUMN detail, DROP COLUMN at_home;".to_owned(),
        said(&gap, "gap: an earlier event is missing"),
        said(&queued, "said by another build"),
        said(&astray, "the key does not belong to this partition"),
        "UPDATE generation_1.dead_letters SET tenant_id = NULL, user_id = NULL WHERE reason LIKE 'the key%'".to_owned(),
    ];
    sqlx::raw_sql(sqlx::AssertSqlSafe(old.concat())).execute(&bench.deployment.database).await.unwrap();
    bench.cli().run(&["migrate"]).expect(0);

    assert_eq!(texts(&bench.letters_of(&user), "reason"), ["gap", "unknown"]);
    assert_eq!(texts(&bench.letters_of(&user), "detail")[1], "said by another build");
    assert_eq!(texts(&bench.letters_of(&other), "reason"), ["wrong-partition"]);
    bench.deployment.launch(Service::Projector);
    bench.deployment.ready(Service::Projector).await;
    bench.is_parked(&user, 1).await;
    bench.goes_on(&other).await;
    let retried = bench.dead_letters(&["retry", &gap, "--json"]).expect(1).json();
    assert_eq!([&retried["left"], &retried["reason"]], [&json!(2), &json!("gap")]);
    assert_eq!(
        texts(&bench.letters_of(&user), "reason"),
        ["gap", "queued"],
        "after another fold the reasons are codes"
    );
}
