//! Users are deleted during a rebuild. Nothing of them stays in either generation, whichever comes
//! to them first.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tests::{Deployment, RedisServer, Stack, fold};

const USERS: usize = 400;

/// All rows about these users, in every generation.
async fn left(database: &PgPool, gone: &[String]) -> Vec<Value> {
    let ids = "SELECT id FROM rollcall.generations ORDER BY id";
    let generations: Vec<i32> = sqlx::query_scalar(ids).fetch_all(database).await.unwrap();
    assert!(generations.len() > 1, "the generation of before is kept");
    let mut left = Vec::new();
    for generation in generations {
        let rows = format!(
            "SELECT to_jsonb(u) FROM generation_{generation}.users u WHERE id::text = ANY($1) \
             AND (claims <> '{{}}' OR body <> '' OR subject_id IS NOT NULL OR terms <> '{{}}') \
             UNION ALL SELECT to_jsonb(p) FROM generation_{generation}.postings p WHERE user_id::text = ANY($1)"
        );
        left.extend(
            sqlx::query_scalar::<_, Value>(AssertSqlSafe(rows)).bind(gone).fetch_all(database).await.unwrap(),
        );
    }
    left
}

pub async fn a_delete_reaches_a_generation_that_is_being_built(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let lines: Vec<String> = (0..USERS)
        .map(|n| {
            json!({ "claims": { "n": n }, "authenticationProvider": { "subjectId": n.to_string() } })
                .to_string()
        })
        .collect();
    deployment.cli.run_with(&["log", "import", "-", "--tenant", &api.tenant], &lines.join("\n")).expect(0);
    let ids: Vec<String> =
        api.all(1_000).await.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), USERS);

    let cli = deployment.cli.clone();
    let rebuild =
        tokio::task::spawn_blocking(move || cli.run(&["projection", "rebuild", "--promote", "--json"]));
    let mut gone = Vec::new();
    for id in &ids {
        if rebuild.is_finished() {
            break;
        }
        // Two events that the rebuild reads without their key.
        api.update(id, json!({ "claims": { "late": true } })).await.expect(200);
        api.delete(id).await.expect(204);
        gone.push(id.clone());
    }
    rebuild.await.unwrap().expect(0);
    assert!(!gone.is_empty() && gone.len() < USERS, "some are deleted while it is built: {}", gone.len());

    assert_eq!(left(&deployment.database, &gone).await, [] as [Value; 0]);
    assert_eq!(api.all(1_000).await, fold(&deployment.log().await).page(&api.tenant));
    let parked: i64 = sqlx::query_scalar("SELECT count(*) FROM live.dead_letters")
        .fetch_one(&deployment.database)
        .await
        .unwrap();
    assert_eq!(parked, 0, "no deleted user is parked");
}
