//! What PostgreSQL keeps of deleted rows: dead rows, dead keys, planner samples.

use serde_json::json;
use sqlx::PgPool;
use tests::{Api, Deployment, RedisServer, Stack, until};

/// The number of users. A deletion is one row among many, and the last one leaves an empty table.
const USERS: usize = 60;

/// Whether the planner's samples contain a text.
async fn is_sampled(database: &PgPool, text: &str) -> bool {
    let samples = "SELECT EXISTS (SELECT FROM pg_stats WHERE schemaname ~ '^(generation_|projection_|rollcall)' AND \
        concat(most_common_vals, histogram_bounds, most_common_elems) LIKE '%' || $1 || '%')";
    sqlx::query_scalar(samples).bind(text).fetch_one(database).await.unwrap()
}

/// How many tables were vacuumed, and how many have dead rows. One dead row may be that of a
/// sample, which is counted late.
async fn vacuumed(database: &PgPool) -> (i64, i64) {
    let tables = "SELECT count(*) FILTER (WHERE vacuum_count > 0), count(*) FILTER (WHERE n_dead_tup > 1) FROM pg_stat_user_tables \
        WHERE schemaname ~ '^generation_' AND relname IN ('users', 'postings', 'credentials', 'dead_letters') \
        OR schemaname ~ '^projection_' AND relname = 'links' \
        OR schemaname = 'rollcall_keys' AND relname IN ('data_keys', 'dropping')";
    sqlx::query_as(tables).fetch_one(database).await.unwrap()
}

/// Tables of the generation, of a projection and of the key store.
const TABLES: i64 = 7;

async fn users(api: &Api, marker: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..USERS {
        // One in four has the same value, so that the planner samples it as a common one.
        let claims = json!({ "group": format!("{marker}-{}", n % 4) });
        let link = json!({ "subjectId": format!("{marker}-subject-{n}"), "url": format!("https://{marker}.example") });
        let created =
            api.create(json!({ "claims": claims, "authenticationProvider": link })).await.expect(201);
        ids.push(created.json()["id"].as_str().unwrap().to_owned());
    }
    ids
}

pub async fn no_deleted_data_can_be_read_in_postgres(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, database, marker) = (deployment.tenant(), &deployment.database, "samplemark");
    let ids = users(&api, marker).await;
    sqlx::raw_sql("ANALYZE").execute(database).await.unwrap();
    assert!(!is_sampled(database, marker).await, "the planner needs no samples");
    // As in a generation of an earlier release.
    let sample = "ALTER TABLE generation_1.users ALTER COLUMN claims SET STATISTICS -1; ANALYZE";
    sqlx::raw_sql(sample).execute(database).await.unwrap();
    assert!(is_sampled(database, &format!("{marker}-1")).await, "there are samples");

    // A long transaction that can still see rows deleted meanwhile.
    let mut reader = database.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM live.users")
        .execute(&mut *reader)
        .await
        .unwrap();
    for id in &ids {
        api.delete(id).await.expect(204);
    }
    until("it is vacuumed under the reader's eyes", async || {
        let (vacuumed, dead) = vacuumed(database).await;
        (vacuumed == TABLES && dead > 0).then_some(())
    })
    .await;
    reader.rollback().await.unwrap();
    until("nothing is left once the reader is gone, nor a sample of a table without rows", async || {
        (vacuumed(database).await == (TABLES, 0) && !is_sampled(database, marker).await).then_some(())
    })
    .await;
    assert!(api.all(100).await.is_empty(), "nobody sees the row that is inserted for a sample");
}
