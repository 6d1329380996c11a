//! A deletion erases the personal tables of projections, in every generation.

use super::bench::{Bench, run, summary};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tests::Stack;
use uuid::Uuid;

const PROVIDER: &str = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

async fn linked(bench: &Bench) -> String {
    let link = json!({ "authenticationProvider": { "subjectId": "s", "providerId": PROVIDER } });
    bench.api.create(link).await.expect(201).id()
}

/// How many generations have the user's link.
async fn links(database: &PgPool, user: &str, generations: &[i32]) -> i64 {
    let mut count = 0;
    for generation in generations {
        let sql = format!(
            "SELECT count(*) FROM projection_statistics_{generation}.links WHERE user_id = $1::text::uuid"
        );
        let one: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(user).fetch_one(database).await.unwrap();
        count += one;
    }
    count
}

pub async fn a_deletion_erases_in_every_generation(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    let (cli, database) = (bench.cli(), &bench.deployment.database);
    let (gone, kept) = (linked(&bench).await, linked(&bench).await);
    bench.until_level("statistics").await;
    summary(cli, &["rebuild"], 0).await;
    bench.until_level("statistics").await;
    assert_eq!(links(database, &gone, &[1, 2]).await, 2);
    // It erases although nobody folds the projection.
    run(cli, &["projection", "pause", "--projection", "statistics"], 0).await;
    bench.api.delete(&gone).await.expect(204);
    assert_eq!((links(database, &gone, &[1, 2]).await, links(database, &kept, &[1, 2]).await), (0, 2));
    let prove = ["erasure", "prove", "--tenant", &bench.api.tenant, "--user", &gone];
    run(cli, &prove, 0).await;
    run(cli, &["projection", "resume", "--projection", "statistics"], 0).await;

    bench.statistics_are_right().await;
    assert_eq!(summary(cli, &["verify"], 0).await["equal"], true);
    let replayed = summary(cli, &["rebuild", "--promote"], 0).await;
    assert_eq!(replayed["verified"]["equal"], true, "a replay gets sealed events: {replayed}");
    bench.statistics_are_right().await;
    assert!(bench.counted().await.keys().any(|(_, provider)| provider.as_deref() == Some(PROVIDER)));
}

pub async fn what_is_left_in_a_personal_table_is_found(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    let (cli, database, tenant) = (bench.cli(), &bench.deployment.database, bench.api.tenant.clone());
    let (gone, kept) = (linked(&bench).await, linked(&bench).await);
    bench.until_level("statistics").await;
    let export = ["users", "export", "--tenant", &tenant, "--user", &kept];
    let exported = run(cli, &export, 0).await.json();
    let rows = &exported["projections"][0];
    assert_eq!(
        (&rows["table"], &rows["row"]["provider"]),
        (&json!("projection_statistics_1.links"), &json!(PROVIDER)),
        "{exported}"
    );

    bench.api.delete(&gone).await.expect(204);
    run(cli, &["erasure", "audit"], 0).await;
    sqlx::query("INSERT INTO projection_statistics_1.links VALUES ($1, $2, 'left')")
        .bind(&tenant)
        .bind(gone.parse::<Uuid>().unwrap())
        .execute(database)
        .await
        .unwrap();
    for verb in [
        &["erasure", "prove", "--tenant", &tenant, "--user", &gone, "--json"][..],
        &["erasure", "audit", "--json"],
    ] {
        let found = run(cli, verb, 1).await;
        assert!(
            found.stdout.contains("projectionRows") && found.stdout.contains("projection_statistics_1.links"),
            "{found:?}"
        );
    }
    let different = summary(cli, &["rebuild"], 0).await["generation"].clone();
    let compared = summary(cli, &["verify"], 1).await;
    assert_eq!(
        (&compared["generation"], &compared["differences"][0]["user"]),
        (&different, &json!(gone)),
        "{compared}"
    );
}
