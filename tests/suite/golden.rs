//! Golden logs of earlier releases fold to what they folded to then.

use tests::{
    Deployment, RedisServer, Service, Stack,
    golden::{Golden, folded_to, is_folded},
};

pub async fn every_golden_log_folds_to_what_it_did(stack: &'static Stack) {
    let all = Golden::all();
    assert!(!all.is_empty(), "there are golden logs");
    for golden in all {
        folds_to_what_it_did(stack, &golden).await;
    }
}

async fn folds_to_what_it_did(stack: &'static Stack, golden: &Golden) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::prepare(stack, &redis.url()).await;
    golden.load(&deployment).await;
    let keys = keys(&deployment).await;

    // Record by record, as projectors fold.
    deployment.launch(Service::Projector);
    is_folded(&deployment, golden.records().len()).await;
    let folded = folded_to(&deployment.database, &golden.expected).await;
    assert_eq!(folded, golden.expected, "{}", golden.name);

    // All at once, as a rebuild does.
    let cli = deployment.cli.clone();
    let rebuild = move || cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    tokio::task::spawn_blocking(rebuild).await.unwrap();
    let folded = folded_to(&deployment.database, &golden.expected).await;
    assert_eq!(folded, golden.expected, "{}, by a rebuild", golden.name);
    assert_eq!(self::keys(&deployment).await, keys, "no key was destroyed");
}

async fn keys(deployment: &Deployment) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM rollcall_keys.data_keys");
    count.fetch_one(&deployment.keys).await.unwrap()
}
