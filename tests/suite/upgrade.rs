//! A database of an earlier release is upgraded: every row stays, and the schema is that of a new one.

use super::generations::run;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::collections::{BTreeMap, BTreeSet};
use tests::{Deployment, Stack, new_database};

const EARLIER: &str = include_str!("../fixtures/database-2026-11-28.sql");

/// The columns, indexes, constraints, views and functions of our schemas, a line each.
const SCHEMA: &str = "\
WITH ours AS (SELECT oid, nspname FROM pg_namespace WHERE nspname ~ '^(rollcall|rollcall_keys|live|generation_\\d+)$') \
SELECT line FROM ( \
    SELECT format('column %s.%s.%s %s %s %s %s', nspname, relname, attname, format_type(atttypid, atttypmod), attnotnull, \
        attstattarget, pg_get_expr(adbin, adrelid)) \
    FROM ours JOIN pg_class c ON relnamespace = ours.oid JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped \
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND adnum = attnum WHERE relkind IN ('r', 'v') \
    UNION ALL SELECT format('index %s', pg_get_indexdef(indexrelid)) \
    FROM ours JOIN pg_class c ON relnamespace = ours.oid JOIN pg_index ON indexrelid = c.oid \
    UNION ALL SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(c.oid)) \
    FROM ours JOIN pg_constraint c ON connamespace = ours.oid \
    UNION ALL SELECT format('options %s %s', c.oid::regclass, reloptions) \
    FROM ours JOIN pg_class c ON relnamespace = ours.oid WHERE relkind = 'r' \
    UNION ALL SELECT format('function %s', pg_get_functiondef(p.oid)) FROM ours JOIN pg_proc p ON pronamespace = ours.oid \
) lines (line) ORDER BY line";

const TABLES: &str = "\
SELECT schemaname || '.' || tablename FROM pg_tables \
WHERE schemaname ~ '^(rollcall|rollcall_keys|generation_\\d+)$' AND tablename NOT IN ('caches', 'dead_letters', 'migrations') ORDER BY 1";

/// What the dump leaves open: names, and values from a new database.
const OPEN_VALUES: &str = "\
SELECT v.name, v.value FROM rollcall.logs l, rollcall_keys.secrets s, LATERAL (VALUES \
    ('{users_topic_id}', l.users_topic_id), ('{credentials_topic_id}', l.credentials_topic_id), \
    ('{master_id}', s.master_id), ('{secret_id}', s.id::text), ('{secret}', encode(s.wrapped, 'hex'))) v (name, value)";

/// Loads the dump over a connection of its own, since it changes the session.
async fn load(url: &str, values: Vec<(String, String)>) {
    let dump = values.iter().fold(EARLIER.to_owned(), |dump, (name, value)| dump.replace(name, value));
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(dump)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(super) async fn schema(database: &PgPool) -> BTreeSet<String> {
    let lines: Vec<String> = sqlx::query_scalar(SCHEMA).fetch_all(database).await.unwrap();
    lines.into_iter().collect()
}

/// What is only in one of the schemas. Two whole schemas would be too long to read.
async fn differences(one: &PgPool, other: &PgPool) -> Vec<String> {
    schema(one).await.symmetric_difference(&schema(other).await).cloned().collect()
}

async fn columns(database: &PgPool, table: &str) -> Vec<String> {
    let columns = "SELECT quote_ident(attname) FROM pg_attribute \
        WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    sqlx::query_scalar(columns).bind(table).fetch_all(database).await.unwrap()
}

/// The columns of each table.
async fn tables(database: &PgPool) -> BTreeMap<String, Vec<String>> {
    let names: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(database).await.unwrap();
    let mut tables = BTreeMap::new();
    for name in names {
        let columns = columns(database, &name).await;
        tables.insert(name, columns);
    }
    tables
}

/// The rows of each table in these columns, as text.
async fn rows(database: &PgPool, tables: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut all = Vec::new();
    for (table, columns) in tables {
        let rows = format!(
            "SELECT '{table} ' || row_to_json(r)::text AS line FROM (SELECT {} FROM {table}) r ORDER BY line",
            columns.join(", ")
        );
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(database).await.unwrap();
        all.extend(rows);
    }
    all
}

type DeadLetter = (i64, String, Option<String>, bool, Option<String>);

pub async fn a_database_of_an_earlier_release_keeps_every_row(stack: &'static Stack) {
    let deployment = Deployment::prepare(stack, stack.var("REDIS_URL")).await;
    let cli = deployment.cli.clone().set("ROLLCALL_PARTITIONS", "12");
    cli.run(&["migrate"]).expect(0);
    let values = sqlx::query_as(OPEN_VALUES).fetch_all(&deployment.database).await.unwrap();
    let (url, earlier) =
        new_database(stack, &format!("{}earlier", deployment.prefix.replace('.', "_"))).await;
    load(&url, values).await;
    let tables = tables(&earlier).await;
    let before = rows(&earlier, &tables).await;
    assert!(before.len() > 30, "{before:#?}");

    let cli = cli.set("DATABASE_URL", &url);
    cli.run(&["migrate"]).expect(0);
    assert_eq!(rows(&earlier, &tables).await, before);
    assert_eq!(differences(&earlier, &deployment.database).await, kept_by_the_generation());
    assert_eq!(dead_letters(&earlier).await, expected_dead_letters());

    let again = cli.run(&["migrate", "--json"]).expect(0).stdout;
    assert!(again.contains("\"tables\":[]"), "{again}");
    assert_eq!(rows(&earlier, &tables).await, before);
}

/// The generation of the earlier release keeps its indexes, those that it is searched by and their
/// statistics among them, until a rebuild. A new one has others.
fn kept_by_the_generation() -> Vec<String> {
    let lines = [
        "column generation_1.users.claims jsonb t -1 ",
        "column generation_1.users.claims jsonb t 0 ",
        "index CREATE INDEX tombstones_log ON generation_1.tombstones USING btree (log_partition, log_offset)",
        "index CREATE INDEX tombstones_partition ON generation_1.tombstones USING btree (log_partition, tenant_id, id) WHERE isfinite(deleted_at)",
        "index CREATE INDEX users_claims ON generation_1.users USING gin (claims jsonb_path_ops)",
        "index CREATE INDEX users_log ON generation_1.users USING btree (log_partition, log_offset)",
        "index CREATE INDEX users_page ON generation_1.users USING btree (tenant_id, created_at, id) WHERE (version > 0)",
        "index CREATE INDEX users_page ON generation_1.users USING btree (tenant_id, created_at, id) WHERE isfinite(created_at)",
        "index CREATE INDEX users_partition ON generation_1.users USING btree (log_partition, tenant_id, id) WHERE isfinite(created_at)",
        "index CREATE INDEX users_provider ON generation_1.users USING btree (tenant_id, provider_id, created_at, id) WHERE (provider_id IS NOT NULL)",
        "index CREATE INDEX users_subject ON generation_1.users USING btree (tenant_id, md5(subject_id), created_at, id) WHERE (subject_id IS NOT NULL)",
        "index CREATE INDEX users_url ON generation_1.users USING btree (tenant_id, md5(provider_url), created_at, id) WHERE (provider_url IS NOT NULL)",
        "options generation_1.users {fillfactor=75}",
        "options generation_1.users {fillfactor=90}",
    ];
    lines.map(str::to_owned).into()
}

async fn dead_letters(database: &PgPool) -> Vec<DeadLetter> {
    sqlx::query_as(
        "SELECT log_offset, reason, detail, at_home, user_id::text FROM live.dead_letters ORDER BY id",
    )
    .fetch_all(database)
    .await
    .unwrap()
}

/// English reasons have become codes, and every record has the owner whom it names. One of a deleted
/// user is gone.
fn expected_dead_letters() -> Vec<DeadLetter> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        (21, "gap".to_owned(), None, true, some("832760f5-b1b2-42c8-84ba-09860fdcfba9")),
        (
            22,
            "bad-header".to_owned(),
            some("ce_id is missing or unreadable"),
            false,
            some("67713b0c-2edd-4404-b570-b1167c767ca5"),
        ),
        (4, "unknown".to_owned(), some("a text of some other build"), false, None),
    ]
}

pub async fn a_verb_before_the_migration_says_what_to_run(stack: &'static Stack) {
    let deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    let cli = &deployment.cli;
    let undone = "ALTER TABLE rollcall.generations DROP COLUMN differed_at; \
        DELETE FROM rollcall.migrations WHERE version = 7";
    sqlx::raw_sql(undone).execute(&deployment.database).await.unwrap();
    let refused = run(cli, &["projection", "list"], 1).await;
    assert!(refused.stderr.contains("run `rollcall migrate` of this release"), "{refused:?}");
    run(cli, &["migrate"], 0).await;
    run(cli, &["projection", "list"], 0).await;
}
