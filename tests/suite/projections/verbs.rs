//! The verbs on generations of a projection.

use super::{
    super::{
        log_identity::{is_halted, make_log_anew, rebuild},
        rebuild::load,
    },
    bench::{Bench, run, states, summary},
};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use tests::{Stack, scratch, until};

fn state(id: i64, state: &str) -> (i64, String) {
    (id, state.to_owned())
}

pub async fn a_rebuild_of_a_projection_under_load(stack: &'static Stack) {
    let bench = Bench::start(stack, &[("ROLLCALL_VISIBILITY_TIMEOUT", "60s")]).await;
    let (busy, stop, cli) = (bench.deployment.tenant(), AtomicBool::new(false), bench.cli());
    bench.populate(12).await;
    let verbs = async {
        until("the first generation is there", async || (!states(cli).await.is_empty()).then_some(())).await;
        let built = summary(cli, &["rebuild"], 0).await;
        assert_eq!(
            (&built["generation"], &built["built"], &built["promoted"]),
            (&json!(2), &json!(true), &json!(false))
        );
        assert_eq!(states(cli).await, [state(1, "live"), state(2, "built")]);
        let refused = run(cli, &["projection", "promote", "--projection", "statistics"], 1).await;
        assert!(refused.stderr.contains("projection verify 2 --projection statistics"), "{refused:?}");
        let verified = summary(cli, &["verify"], 0).await;
        assert_eq!((&verified["equal"], &verified["live"]), (&json!(true), &json!(1)), "{verified}");
        assert!(verified["digest"].is_string(), "{verified}");

        let promoted = summary(cli, &["promote"], 0).await;
        assert_eq!((&promoted["generation"], &promoted["retired"]), (&json!(2), &json!(1)), "{promoted}");
        let back = summary(cli, &["rollback"], 0).await;
        assert_eq!((&back["generation"], &back["retired"]), (&json!(1), &json!(2)), "{back}");
        assert_eq!(summary(cli, &["verify", "2"], 0).await["equal"], true, "the retired one follows");
        let third = summary(cli, &["rebuild", "--promote"], 0).await;
        assert_eq!((&third["verified"]["equal"], &third["retired"]), (&json!(true), &json!(1)), "{third}");
        assert_eq!(
            states(cli).await,
            [state(1, "retired"), state(3, "live")],
            "one retired generation is kept"
        );
        run(cli, &["projection", "drop", "3", "--projection", "statistics"], 1).await;
        run(cli, &["projection", "drop", "1", "--projection", "statistics"], 0).await;
        assert_eq!(states(cli).await, [state(3, "live")]);
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(verbs, load(&busy, &stop), load(&busy, &stop));
    bench.statistics_are_right().await;
}

pub async fn a_projection_of_a_recreated_log_is_rebuilt(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    let cli = bench.cli();
    bench.populate(4).await;
    bench.until_level("statistics").await;
    make_log_anew(stack, &bench.deployment).await;
    is_halted(&bench.deployment).await;
    rebuild(&bench.deployment).await;
    until("users can be written again", async || {
        let created = bench.api.create(json!({})).await;
        (created.status == 201).then_some(())
    })
    .await;
    let note = bench.status(cli, "statistics").await["note"].as_str().expect("a note").to_owned();
    assert!(note.contains("another log") && note.contains("--promote --unverified"), "{note}");

    let built = summary(cli, &["rebuild", "--promote", "--unverified"], 0).await;
    assert_eq!((&built["promoted"], &built["retired"]), (&json!(true), &json!(1)), "{built}");
    assert!(bench.status(cli, "statistics").await["note"].is_null());
    run(cli, &["projection", "drop", "1", "--projection", "statistics"], 0).await;
    bench.populate(4).await;
    bench.statistics_are_right().await;
}

pub async fn a_killed_rebuild_of_a_projection_is_resumed(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    let cli = bench.cli();
    bench.populate(8).await;
    bench.until_level("statistics").await;
    let nothing = run(cli, &["projection", "rebuild", "--resume", "--projection", "statistics"], 1).await;
    assert!(nothing.stderr.contains("nothing to resume"), "{nothing:?}");
    for point in ["projection.round", "projection.applied", "projection.committed"] {
        let killed = cli.clone().set("FAILPOINTS", &format!("{point}=return"));
        let log = scratch("killed-projection").join("rebuild.log");
        let mut killed = killed.start(&["projection", "rebuild", "--projection", "statistics"], &log);
        until("it is killed", async || killed.ended()).await;
        bench.populate(2).await;
        let report = summary(cli, &["rebuild", "--resume", "--promote"], 0).await;
        assert_eq!(
            (&report["verified"]["equal"], &report["promoted"]),
            (&json!(true), &json!(true)),
            "{report}"
        );
        bench.statistics_are_right().await;
    }
}

pub async fn a_comparison_of_a_projection_names_columns(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    let (cli, database) = (bench.cli(), &bench.deployment.database);
    bench.populate(4).await;
    bench.until_level("statistics").await;
    summary(cli, &["rebuild"], 0).await;
    sqlx::query("UPDATE projection_statistics_2.activity SET creates = creates + 1")
        .execute(database)
        .await
        .unwrap();
    let report = summary(cli, &["verify"], 1).await;
    let named = report["differences"].as_array().unwrap();
    assert!(!named.is_empty() && named.iter().all(|one| one["fields"] == json!(["creates"])), "{report}");
    sqlx::query("DELETE FROM projection_statistics_2.activity").execute(database).await.unwrap();
    let report = summary(cli, &["verify", "--limit", "2"], 1).await;
    assert_eq!(
        (&report["differences"][1]["fields"], &report["more"]),
        (&json!([]), &json!(true)),
        "{report}"
    );
}

pub async fn a_projection_is_asked_by_its_name(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    let cli = bench.cli();
    bench.populate(5).await;
    bench.until_level("statistics").await;
    let printed =
        run(cli, &["projection", "query", "statistics", "--tenant", &bench.api.tenant], 0).await.stdout;
    assert!(
        printed.starts_with("day ") && printed.contains("creates") && printed.lines().count() > 1,
        "{printed}"
    );
    let status = run(cli, &["projection", "status", "--projection", "statistics"], 0).await.stdout;
    assert!(status.contains("projection statistics, generation 1, lag 0 offsets"), "{status}");

    for verb in ["list", "status", "pause", "resume", "rebuild", "verify", "promote", "rollback"] {
        let unknown = run(cli, &["projection", verb, "--projection", "nonsense"], 2).await;
        assert!(unknown.stderr.contains("[possible values: statistics]"), "{unknown:?}");
    }
    run(cli, &["projection", "query", "nonsense", "--tenant", "t"], 2).await;
    let user = uuid::Uuid::new_v4().to_string();
    let refused = run(
        cli,
        &["projection", "repair", "--projection", "statistics", "--tenant", "t", "--user", &user],
        2,
    )
    .await;
    assert!(refused.stderr.contains("projection rebuild --projection statistics"), "{refused:?}");
}

pub async fn a_projection_of_another_fold_is_replaced(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    let (cli, database) = (bench.cli(), &bench.deployment.database);
    bench.populate(4).await;
    bench.until_level("statistics").await;
    sqlx::query("UPDATE rollcall.projection_generations SET fold_version = 0")
        .execute(database)
        .await
        .unwrap();
    let query = ["projection", "query", "statistics", "--tenant", &bench.api.tenant];
    let refused = run(cli, &query, 1).await;
    assert!(refused.stderr.contains("rebuild --projection statistics --promote --unverified"), "{refused:?}");
    let status = bench.status(cli, "statistics").await;
    assert!(status["note"].as_str().is_some_and(|note| note.contains("made by fold 0")), "{status}");
    let of_all = run(cli, &["projection", "status"], 0).await.stdout;
    assert!(of_all.contains("projection statistics: generation 1 was made by fold 0"), "{of_all}");
    let refused = run(cli, &["projection", "rebuild", "--projection", "statistics", "--promote"], 1).await;
    assert!(refused.stderr.contains("rebuild --projection statistics --promote --unverified"), "{refused:?}");
    let built = run(cli, &["projection", "rebuild", "--projection", "statistics"], 0).await.stdout;
    let promote = "projection promote 2 --projection statistics --unverified";
    assert!(built.contains(promote) && !built.contains("verify 2"), "{built}");
    for verb in ["verify", "promote"] {
        let refused = run(cli, &["projection", verb, "2", "--projection", "statistics"], 1).await;
        assert!(refused.stderr.contains(promote), "{refused:?}");
    }
    let promoted = run(cli, &promote.split(' ').collect::<Vec<_>>(), 0).await.stdout;
    assert!(promoted.contains("generation 1 is retired, and does not follow"), "{promoted}");
    let replaced = summary(cli, &["rebuild", "--promote", "--unverified"], 0).await;
    assert_eq!((&replaced["generation"], &replaced["promoted"]), (&json!(3), &json!(true)), "{replaced}");
    assert_eq!((&replaced["retired"], &replaced["dropped"]), (&json!(2), &json!([1])), "{replaced}");
    assert_eq!(bench.counted().await, bench.expected().await);
}
