//! The recipe of `docs/operate.md` saves and drops every schema of the read model: rows of one time
//! and checkpoints of another would be folded twice.

use std::collections::BTreeSet;
use tests::{Deployment, Stack};

const DOCUMENT: &str = include_str!("../../../docs/operate.md");

pub async fn the_documented_backup_has_every_schema(stack: &'static Stack) {
    let deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    let all: Vec<String> = sqlx::query_scalar(
        "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public|rollcall_keys)'",
    )
    .fetch_all(&deployment.database)
    .await
    .unwrap();
    assert!(all.iter().any(|schema| schema.starts_with("projection_")), "{all:?}");

    let (_, dump) = DOCUMENT.split_once("pg_dump --format=custom --file=rollcall.dump").expect("the dump");
    let (dump, rest) = dump.split_once("$DATABASE_URL").expect("its end");
    let saved: Vec<&str> =
        dump.split("--schema=").skip(1).map(|name| name.trim_matches([' ', '\'', '\\', '"', '\n'])).collect();
    let is_saved = |schema: &&String| {
        saved.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => schema.starts_with(start),
            None => schema == name,
        })
    };
    assert_eq!(all.iter().filter(is_saved).count(), all.len(), "{saved:?} of {all:?}");

    let (_, dropped) = rest.split_once("nspname ~ '").expect("what is dropped");
    let (dropped, _) = dropped.split_once("\\$'").expect("its end");
    let dropped: Vec<String> =
        sqlx::query_scalar("SELECT nspname::text FROM pg_namespace WHERE nspname ~ ($1 || '$')")
            .bind(dropped)
            .fetch_all(&deployment.database)
            .await
            .unwrap();
    assert_eq!(dropped.into_iter().collect::<BTreeSet<_>>(), all.into_iter().collect());
}
