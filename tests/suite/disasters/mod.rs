//! Disasters and the daily work of operators: the transcripts of docs/operate.md, replayed as they are
//! written. `UPDATE_TRANSCRIPTS=1` writes into the document what the commands print.

mod bench;

use bench::Bench;
use tests::{Stack, replay};

pub async fn a_read_model_is_replaced(stack: &'static Stack) {
    replayed(stack, "replaced").await;
}

pub async fn a_user_is_repaired(stack: &'static Stack) {
    replayed(stack, "repaired").await;
}

pub async fn a_bad_build_parks_users(stack: &'static Stack) {
    replayed(stack, "bad-build").await;
}

pub async fn a_release_has_a_newer_fold(stack: &'static Stack) {
    replayed(stack, "upgrade").await;
}

pub async fn postgres_is_lost(stack: &'static Stack) {
    replayed(stack, "postgres-lost").await;
}

pub async fn redis_is_lost(stack: &'static Stack) {
    replayed(stack, "redis-lost").await;
}

pub async fn the_key_store_is_older(stack: &'static Stack) {
    replayed(stack, "key-store-older").await;
}

pub async fn the_log_is_recreated_and_comes_back(stack: &'static Stack) {
    replayed(stack, "log-recreated").await;
}

pub async fn the_log_is_recreated_and_given_up(stack: &'static Stack) {
    replayed(stack, "log-given-up").await;
}

pub async fn the_log_is_cut(stack: &'static Stack) {
    replayed(stack, "log-cut").await;
}

pub async fn the_log_is_older(stack: &'static Stack) {
    replayed(stack, "log-older").await;
}

async fn replayed(stack: &'static Stack, name: &str) {
    let mut bench = Bench::start(stack).await;
    let mut shell = bench.shell().await;
    for name in ["api", name] {
        replay(name, &mut shell, async |what| bench.happens(what).await).await;
    }
}
