//! Plans of statements that look up lists of keys, and of searches. They are made while a table is
//! empty, and kept while it grows.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, raw_sql};
use std::{collections::BTreeSet, fmt::Write as _};
use tests::{Api, Deployment, RedisServer, Service, Stack};

/// A part of each statement of a search.
const SEARCH: &str = "walk AS MATERIALIZED";

/// Parts of the statements that delete or compare postings: an update, a deletion, a deletion from
/// a generation that is not live, a repair, and its check.
const POSTINGS: [&str; 5] = [
    "postings_removed AS",
    "postings_gone AS",
    "SET claims = '{}', provider_id = NULL",
    "UNION SELECT created_at FROM gone",
    "UNION SELECT created_at FROM stored",
];

/// The index of pages as fold 2 made it.
pub(super) const EARLIER_PAGES: &str = "\
DROP INDEX {g}.users_page; \
CREATE INDEX users_page ON {g}.users (tenant_id, created_at, id) WHERE version > 0; ";

/// Makes the server log every plan that is used in a database.
const EXPLAIN: [&str; 4] = [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_nested_statements = on",
    "auto_explain.log_analyze = on",
];

pub async fn writes_look_up_by_key_in_tables_that_were_never_analyzed(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    // As after a while with few users: according to the statistics the tables are nearly empty.
    api.user(json!({ "n": -1 })).await;
    // A deletion looks up the postings of a following generation too.
    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    deployment.stop(Service::Projector);
    without_statistics(&deployment.database).await;
    log_plans(&deployment.database).await;
    deployment.launch(Service::Projector);
    deployment.ready(Service::Projector).await;
    write_users(&deployment, &api).await;
    deployment.stop(Service::Projector);

    let log = std::fs::read_to_string(stack.home.join("logs/postgres.log")).unwrap();
    let plans: Vec<&str> = log.split("LOG:  duration: ").filter(|plan| is_of_keys(plan)).collect();
    assert!(plans.len() > 10, "there are plans: {}", plans.len());
    for part in POSTINGS {
        assert!(plans.iter().any(|plan| plan.contains(part)), "no plan has {part}");
    }
    for plan in plans {
        for other in [
            "Seq Scan on users",
            "Seq Scan on data_keys",
            "Seq Scan on tombstones",
            "users_page",
            "users_partition",
            "tombstones_partition",
            "hashed SubPlan",
        ] {
            assert!(!plan.contains(other), "{other}: {plan}");
        }
        assert!(most_removed(plan) < 100, "a table is read beside the list of keys: {plan}");
    }
}

/// Writes of every kind, beside many users with the same term.
async fn write_users(deployment: &Deployment, api: &Api) {
    let lines = (0..4_000).fold(String::new(), |mut lines, n| {
        writeln!(lines, r#"{{"claims":{{"n":{n},"common":true}}}}"#).unwrap();
        lines
    });
    let args = ["log", "import", "-", "--tenant", &api.tenant];
    deployment.cli.run_with(&args, &lines).expect(0);
    let [changed, deleted] = [-2, -3].map(|n| api.user(json!({ "n": n, "common": true })));
    let (changed, deleted) = (changed.await, deleted.await);
    api.update(&changed, json!({ "claims": { "n": -2 } })).await.expect(200);
    api.update(&changed, json!({ "claims": { "n": -2, "common": true } })).await.expect(200);
    let repair = ["projection", "repair", "--tenant", &api.tenant, "--user", &changed];
    deployment.cli.run(&[&repair[..], &["--check"]].concat()).expect(0);
    let live = generations(&deployment.database).await.pop().unwrap();
    let damage = format!("UPDATE {live}.users SET subject_id = 'x' WHERE id = '{changed}'");
    sqlx::query(AssertSqlSafe(damage)).execute(&deployment.database).await.unwrap();
    deployment.cli.run(&repair).expect(0);
    api.delete(&deleted).await.expect(204);
}

/// Sessions that begin after this log their plans.
pub(super) async fn log_plans(database: &PgPool) {
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(database).await.unwrap();
    for setting in EXPLAIN {
        let sql = format!("ALTER DATABASE {name} SET {setting}");
        sqlx::query(AssertSqlSafe(sql)).execute(database).await.unwrap();
    }
}

pub(super) async fn without_statistics(database: &PgPool) {
    for generation in generations(database).await {
        for table in ["users", "postings", "tombstones", "credentials", "dead_letters"] {
            no_statistics(database, &format!("{generation}.{table}")).await;
        }
    }
    no_statistics(database, "rollcall_keys.data_keys").await;
}

/// The schemas of the generations, the oldest first.
async fn generations(database: &PgPool) -> Vec<String> {
    let query = sqlx::query_scalar("SELECT 'generation_' || id FROM rollcall.generations ORDER BY id");
    query.fetch_all(database).await.unwrap()
}

async fn no_statistics(database: &PgPool, table: &str) {
    let sql = format!("ALTER TABLE {table} SET (autovacuum_enabled = off)");
    raw_sql(AssertSqlSafe(sql)).execute(database).await.unwrap();
    raw_sql(AssertSqlSafe(format!("VACUUM {table}"))).execute(database).await.unwrap();
}

/// A statement with a list of keys. Other tests use the same server, and rebuild.
fn is_of_keys(plan: &&str) -> bool {
    plan.contains("Query Text") && plan.contains("unnest($") && !plan.contains(SEARCH)
}

/// The most rows that a node of a plan read and discarded, in a table or an index, not in the list
/// of keys.
fn most_removed(plan: &str) -> u64 {
    let (mut node, mut most) = ("", 0);
    for line in plan.lines() {
        if line.contains("(cost=") {
            node = line;
        }
        let is_of_the_list = node.contains("Function Scan") || node.contains("CTE Scan");
        if let Some((_, removed)) = line.split_once(" Removed by ").filter(|_| !is_of_the_list) {
            most = removed.rsplit(": ").next().and_then(|n| n.trim().parse().ok()).unwrap_or(0).max(most);
        }
    }
    most
}

pub async fn a_search_has_one_plan_in_every_state_of_the_tables(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let (api, database) = (deployment.tenant(), deployment.database.clone());
    without_statistics(&database).await;
    raw_sql("ALTER TABLE generation_1.postings SET (autovacuum_enabled = off)")
        .execute(&database)
        .await
        .unwrap();
    log_plans(&database).await;
    let empty = search_plans(stack, &mut deployment, &api).await;
    assert_eq!(empty.len(), 3, "one for each number of terms: {empty:#?}");

    let lines: String = (0..4_000).fold(String::new(), |mut lines, n| {
        writeln!(lines, r#"{{"claims":{{"n":{n},"half":{}}}}}"#, n % 2).unwrap();
        lines
    });
    deployment.cli.run_with(&["log", "import", "-", "--tenant", &api.tenant], &lines).expect(0);
    assert_eq!(api.all(1_000).await.len(), 4_000);
    assert_eq!(search_plans(stack, &mut deployment, &api).await, empty, "without statistics");
    raw_sql("VACUUM ANALYZE").execute(&database).await.unwrap();
    assert_eq!(search_plans(stack, &mut deployment, &api).await, empty, "with statistics");
    raw_sql("DELETE FROM generation_1.postings; DELETE FROM generation_1.users")
        .execute(&database)
        .await
        .unwrap();
    assert_eq!(search_plans(stack, &mut deployment, &api).await, empty, "with stale statistics");
    // The live generation lacks what was deleted above.
    deployment.cli.run(&["projection", "rebuild", "--promote", "--unverified"]).expect(0);
    assert_eq!(search_plans(stack, &mut deployment, &api).await, empty, "after a rebuild");
    let earlier = EARLIER_PAGES.replace("{g}", "generation_2");
    raw_sql(AssertSqlSafe(earlier)).execute(&database).await.unwrap();
    let plans = search_plans(stack, &mut deployment, &api).await;
    // There, the index implies `version > 0`, so a walk over all users needs no rows.
    let plans: BTreeSet<String> = plans
        .into_iter()
        .map(|plan| plan.replace("Index Only Scan using users_page", "Index Scan using users_page"))
        .collect();
    assert_eq!(plans, empty, "in a generation of fold 2");
}

/// The plans of searches in new sessions, with any kind of criteria.
async fn search_plans(stack: &Stack, deployment: &mut Deployment, api: &Api) -> BTreeSet<String> {
    deployment.stop(Service::Query);
    deployment.launch(Service::Query);
    deployment.ready(Service::Query).await;
    let path = stack.home.join("logs/postgres.log");
    let before = std::fs::read_to_string(&path).unwrap().len();
    let criteria: [Value; 6] = [
        json!({ "claims": { "n": 7 } }),
        json!({ "claims": { "half": 1 }, "limit": 1000 }),
        json!({ "claims": { "half": 1, "n": 7 } }),
        json!({ "claims": { "half": 1 }, "authenticationProvider": { "subjectId": "s" } }),
        json!({ "authenticationProvider": { "subjectId": "s" } }),
        json!({ "claims": { "nothing": {} } }),
    ];
    for criteria in criteria {
        api.search(criteria).await.expect(200);
    }
    let log = std::fs::read_to_string(&path).unwrap();
    let plans = log[before..].split("LOG:  duration: ").filter(|plan| plan.contains(SEARCH));
    plans.map(shape).collect()
}

/// The nodes and conditions of a plan, without figures. Lines of other sessions may follow it.
fn shape(plan: &str) -> String {
    let lines = plan.lines().skip(1).take_while(|line| line.starts_with('\t'));
    let lines = lines.skip_while(|line| !line.contains("(cost=")).filter(|line| {
        let line = line.trim_start();
        line.contains("(cost=")
            || ["Index Cond", "Sort Key", "CTE", "InitPlan"].iter().any(|name| line.starts_with(name))
    });
    lines.map(|line| line.split("  (cost=").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}
