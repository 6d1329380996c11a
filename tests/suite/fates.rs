//! The outcome of a write follows from its own position in the log, whatever an operator does
//! meanwhile.

use serde_json::json;
use tests::{Deployment, Foreign, RedisServer, Service, Stack, until};

/// An operator resolves the dead letter before a write, after the write is told that it is parked
/// and before it reads the user again. The write took effect, so it must neither be rejected for
/// its version nor be written again.
pub async fn a_parked_write_that_is_retried_takes_effect(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let settings = [("ROLLCALL_VISIBILITY_TIMEOUT", "20s")];
    let deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
    let api = deployment.tenant();
    for condition in [None, Some("\"1\"")] {
        let id = api.user(json!({ "n": 1 })).await;
        let poison = Foreign::event(&format!("{}/{id}", api.tenant), "user.updated.v1", "no JSON");
        deployment.freeze(Service::Projector, 0);
        let (partition, offset) =
            deployment.append("users.events", &[poison.header("ce_sequence", "2")]).await[0];
        let put = api.update(&id, json!({ "claims": { "n": 2 } }));
        let put = match condition {
            Some(tags) => put.header("If-Match", tags),
            None => put,
        };
        let put = tokio::spawn(async move { put.await });
        until("the write is in the log", async || {
            (deployment.topic("users.events").await.iter().filter(|record| record.key.ends_with(&id)).count()
                == 3)
                .then_some(())
        })
        .await;

        // From now on nobody can read the view. The projector does not need it.
        let mut block = deployment.database.begin().await.unwrap();
        sqlx::query("ALTER VIEW live.users ALTER COLUMN version SET DEFAULT 0")
            .execute(&mut *block)
            .await
            .unwrap();
        deployment.thaw(Service::Projector, 0);
        let letter = format!("users:{partition}:{offset}");
        let parked = "SELECT count(*) FROM live.dead_letters WHERE user_id::text = $1";
        until("both are parked", async || {
            let parked = sqlx::query_scalar::<_, i64>(parked).bind(&id);
            (parked.fetch_one(&deployment.database).await.unwrap() == 2).then_some(())
        })
        .await;
        deployment.cli.run(&["dead-letters", "discard", &letter]).expect(0);
        block.rollback().await.unwrap();

        let answer = put.await.unwrap();
        assert!(matches!(answer.status, 200 | 202), "{}: {}", answer.status, answer.text());
        let shown = api.get(&id).await.expect(200);
        assert_eq!((shown.version(), &shown.json()["claims"]), (2, &json!({ "n": 2 })), "written once");
    }
}
