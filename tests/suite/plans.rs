//! Plans of statements that look up lists of keys. They are made while a table is empty, and kept
//! while it grows.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, raw_sql};
use std::fmt::Write as _;
use tests::{Deployment, RedisServer, Service, Stack};

/// Makes the server log every plan that is used in a database.
const EXPLAIN: [&str; 4] = [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_nested_statements = on",
    "auto_explain.log_analyze = on",
];

pub async fn an_import_looks_up_by_key_in_tables_that_were_never_analyzed(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    // As after a while with few users: according to the statistics the tables are nearly empty.
    api.user(json!({ "n": -1 })).await;
    deployment.stop(Service::Projector);
    without_statistics(&deployment.database).await;
    let name: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&deployment.database).await.unwrap();
    for setting in EXPLAIN {
        let sql = format!("ALTER DATABASE {name} SET {setting}");
        sqlx::query(AssertSqlSafe(sql)).execute(&deployment.database).await.unwrap();
    }
    deployment.launch(Service::Projector);
    deployment.ready(Service::Projector).await;
    let lines = (0..4_000).fold(String::new(), |mut lines, n| {
        writeln!(lines, r#"{{"claims":{{"n":{n}}}}}"#).unwrap();
        lines
    });
    let args = ["log", "import", "-", "--tenant", &api.tenant];
    deployment.cli.run_with(&args, &lines).expect(0);
    deployment.stop(Service::Projector);

    let log = std::fs::read_to_string(stack.home.join("logs/postgres.log")).unwrap();
    let plans: Vec<&str> = log.split("LOG:  duration: ").filter(|plan| is_of_keys(plan)).collect();
    assert!(plans.len() > 10, "there are plans: {}", plans.len());
    for plan in plans {
        for other in [
            "Seq Scan on users",
            "Seq Scan on data_keys",
            "Seq Scan on tombstones",
            "users_page",
            "hashed SubPlan",
        ] {
            assert!(!plan.contains(other), "{other}: {plan}");
        }
        assert!(most_removed(plan) < 100, "a table is read beside the list of keys: {plan}");
    }
}

async fn without_statistics(database: &PgPool) {
    raw_sql("ALTER TABLE generation_1.users SET (autovacuum_enabled = off); ALTER TABLE rollcall_keys.data_keys SET (autovacuum_enabled = off)")
        .execute(database)
        .await
        .unwrap();
    for table in ["users", "tombstones", "credentials", "dead_letters"] {
        sqlx::query(AssertSqlSafe(format!("VACUUM generation_1.{table}"))).execute(database).await.unwrap();
    }
    sqlx::query("VACUUM rollcall_keys.data_keys").execute(database).await.unwrap();
}

/// A statement with a list of keys.
fn is_of_keys(plan: &&str) -> bool {
    plan.contains("Query Text") && plan.contains("unnest(")
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
