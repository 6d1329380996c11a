//! If tables are inconsistent, the record is not to blame: the projector stops and says so, and
//! parks nobody.

use serde_json::json;
use tests::{Deployment, Foreign, RedisServer, Service, Stack, until};

pub async fn inconsistent_tables_park_nobody(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let created = api.create(json!({ "claims": { "n": 1 } })).await.expect(201);
    let (id, (partition, offset)) = (created.id(), created.position());

    // A row in the place of the partition's next record.
    let broken = "INSERT INTO live.rejections (partition, log_offset, reason) VALUES ($1, $2, 'superseded')";
    let broken = sqlx::query(broken).bind(partition).bind(offset + 1);
    broken.execute(&deployment.database).await.unwrap();
    // A valid event, superseded because the user has that version already.
    let key = format!("{}/{id}", api.tenant);
    assert_eq!(
        deployment.append("users.events", &[Foreign::deletion(&key, 1)]).await,
        [(partition, offset + 1)]
    );

    let url = format!("{}/health/ready", deployment.url(Service::Projector));
    let said = until("the projector has paused and says why", async || {
        let said = reqwest::get(&url).await.ok()?.text().await.ok()?;
        said.contains("contradict themselves").then_some(said)
    })
    .await;
    for words in ["23505", "rejections", "constraint rejections_pkey", "projection rebuild"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains(&id), "no values of a row: {said}");
    let letters = deployment.cli.run(&["dead-letters", "list", "--json"]).expect(0).json_lines();
    assert!(letters.is_empty(), "nothing was set aside: {letters:?}");

    // As the message advises: a new generation has new tables.
    let cli = deployment.cli.clone();
    let rebuild = tokio::task::spawn_blocking(move || cli.run(&["projection", "rebuild", "--promote"]));
    rebuild.await.unwrap().expect(0);
    deployment.cli.run(&["projection", "resume"]).expect(0);
    until("writes are visible again", async || {
        (api.update(&id, json!({ "claims": { "n": 2 } })).await.status == 200).then_some(())
    })
    .await;
    assert!(deployment.cli.run(&["dead-letters", "list", "--json"]).expect(0).json_lines().is_empty());
}

pub async fn inconsistent_tables_stop_a_repair(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "n": 1 })).await;
    // The user is to be repaired, and no row of the right version is accepted.
    for broken in [
        "UPDATE live.users SET version = 7",
        "ALTER TABLE generation_1.users ADD CONSTRAINT broken CHECK (version = 7)",
    ] {
        sqlx::query(broken).execute(&deployment.database).await.unwrap();
    }
    let (cli, tenant, user) = (deployment.cli.clone(), api.tenant.clone(), id.clone());
    let repair = tokio::task::spawn_blocking(move || {
        cli.run(&["projection", "repair", "--tenant", &tenant, "--user", &user])
    });
    let url = format!("{}/health/ready", deployment.url(Service::Projector));
    let said = until("the projector has paused and says why", async || {
        let said = reqwest::get(&url).await.ok()?.text().await.ok()?;
        said.contains("contradict themselves").then_some(said)
    })
    .await;
    assert!(said.contains("23514") && said.contains("constraint broken"), "{said}");

    let mend = "ALTER TABLE generation_1.users DROP CONSTRAINT broken";
    sqlx::query(mend).execute(&deployment.database).await.unwrap();
    deployment.cli.run(&["projection", "resume"]).expect(0);
    repair.await.unwrap().expect(0);
    assert_eq!(api.get(&id).await.expect(200).version(), 1);
}
