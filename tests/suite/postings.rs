//! Search by postings: they are the terms of the users at any time, a search looks at a bounded
//! number of candidates, and a generation of an earlier release is searched without them.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, raw_sql};
use std::ops::Range;
use tests::{Answer, Api, Cli, Deployment, RedisServer, Service, Stack, until};

/// Postings without their term, and terms without their posting.
const DIFFERENCES: &str = "\
SELECT (SELECT count(*) FROM (SELECT term, created_at, user_id FROM {g}.postings \
        EXCEPT ALL SELECT term, created_at, id FROM {g}.users, unnest(terms) term) p), \
    (SELECT count(*) FROM (SELECT term, created_at, id FROM {g}.users, unnest(terms) term \
        EXCEPT ALL SELECT term, created_at, user_id FROM {g}.postings) t), \
    (SELECT count(*) FROM {g}.postings)";

/// Checks that the postings of a generation are the terms of its users. Returns how many there are.
pub(super) async fn count_postings(database: &PgPool, generation: i32) -> i64 {
    let sql = DIFFERENCES.replace("{g}", &format!("generation_{generation}"));
    let (superfluous, missing, all): (i64, i64, i64) =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_one(database).await.unwrap();
    assert_eq!((superfluous, missing), (0, 0), "superfluous and missing postings of generation {generation}");
    all
}

fn import(cli: &Cli, tenant: &str, claims: impl IntoIterator<Item = Value>) {
    let lines: Vec<String> =
        claims.into_iter().map(|claims| json!({ "claims": claims }).to_string()).collect();
    cli.run_with(&["log", "import", "-", "--tenant", tenant], &lines.join("\n")).expect(0);
}

/// The sizes of the pages of a search.
async fn page_sizes(api: &Api, claims: Value) -> Vec<usize> {
    let (mut sizes, mut cursor) = (Vec::new(), None);
    loop {
        let mut body = json!({ "claims": claims, "limit": 10 });
        if let Some(cursor) = cursor {
            body["cursor"] = json!(cursor);
        }
        let page = api.search(body).await.expect(200);
        sizes.push(page.data().len());
        cursor = page.next();
        if cursor.is_none() {
            return sizes;
        }
    }
}

pub async fn a_search_looks_at_150_candidates_for_each_page(stack: &'static Stack) {
    let api = stack.tenant();
    let pair = |p: u8, q: u8| json!({ "p": p, "q": q });
    // All users have both terms, but only the last one has both in one element.
    import(
        &stack.cli(),
        &api.tenant,
        (0..450).map(|n| json!({ "n": n, "pairs": [pair(0, 1), pair(1, 0)], "empty": {} })),
    );
    until("all are folded", async || (api.all(1_000).await.len() == 450).then_some(())).await;
    api.user(json!({ "pairs": [pair(0, 0)] })).await;
    assert_eq!(page_sizes(&api, json!({ "pairs": [pair(0, 0)] })).await, [0, 0, 0, 1]);
    assert_eq!(page_sizes(&api, json!({ "nothing": {} })).await, [0, 0, 0, 0]);
    assert_eq!(page_sizes(&api, json!({ "n": 7 })).await, [1]);
    assert_eq!(page_sizes(&api, json!({ "n": 450 })).await, [0]);
    assert_eq!(page_sizes(&api, json!({ "empty": {} })).await, [10; 45]);
    let everyone = api.search(json!({ "claims": { "pairs": [{}] }, "limit": 1_000 })).await.expect(200);
    assert_eq!((everyone.data().len(), everyone.next()), (451, None));
}

/// Only a user with as many terms can match, so the others are no candidates.
pub async fn criteria_with_more_than_1000_terms_match_on_the_first_page(stack: &'static Stack) {
    let api = stack.tenant();
    let numbers = |range: Range<u32>| range.collect::<Vec<_>>();
    let user = |n: u32| {
        let own = if n.is_multiple_of(2) { numbers(0..900) } else { numbers(200..1_100) };
        json!({ "n": n, "numbers": own })
    };
    import(&stack.cli(), &api.tenant, (0..400).map(user));
    until("all are folded", async || (api.all(1_000).await.len() == 400).then_some(())).await;
    api.user(json!({ "numbers": numbers(0..1_200) })).await;
    assert_eq!(page_sizes(&api, json!({ "numbers": numbers(0..1_100) })).await, [1]);
}

pub async fn a_user_with_more_than_1000_terms_is_found(stack: &'static Stack) {
    let api = stack.tenant();
    let numbers: Vec<u32> = (0..1_200).collect();
    let few = api.user(json!({ "tag": "x", "numbers": [7] })).await;
    let many = api.user(json!({ "tag": "x", "numbers": numbers })).await;
    let last = api.user(json!({ "tag": "x" })).await;
    let found = async |claims: Value| {
        let page = async |cursor: Option<String>| {
            let mut body = json!({ "claims": claims, "limit": 1 });
            if let Some(cursor) = cursor {
                body["cursor"] = json!(cursor);
            }
            api.search(body).await
        };
        let users = Api::pages(page).await;
        users.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({ "tag": "x" })).await, [few.as_str(), &many, &last]);
    assert_eq!(found(json!({ "numbers": [7] })).await, [few.as_str(), &many]);
    assert_eq!(found(json!({ "numbers": [1_199], "tag": "x" })).await, [many.as_str()]);
    assert_eq!(found(json!({ "numbers": numbers })).await, [many.as_str()]);
    assert!(found(json!({ "numbers": [1_200] })).await.is_empty());
    api.update(&many, json!({ "claims": { "numbers": [8] } })).await.expect(200);
    assert_eq!(found(json!({ "numbers": [8] })).await, [many.as_str()]);
    assert_eq!(found(json!({ "tag": "x" })).await, [few.as_str(), &last]);
}

/// The tables of generation 1 as a release without postings left them.
const EARLIER: &str = "\
UPDATE rollcall.generations SET has_postings = false WHERE id = 1; \
TRUNCATE generation_1.postings; \
UPDATE generation_1.users SET terms = '{}'";

async fn check_found(api: &Api, users: &[(String, u32)]) {
    for (id, n) in users {
        assert_eq!(api.search(json!({ "claims": { "n": n } })).await.expect(200).ids(), [id.as_str()]);
    }
    assert!(api.search(json!({ "claims": { "n": 99 } })).await.expect(200).data().is_empty());
}

pub async fn a_generation_of_an_earlier_release_is_searched_until_a_rebuild(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let (api, database) = (deployment.tenant(), deployment.database.clone());
    let mut users = Vec::new();
    for n in 0..6 {
        users.push((api.user(json!({ "n": n, "even": n % 2 == 0 })).await, n));
    }
    assert_eq!(count_postings(&database, 1).await, 12);
    deployment.stop(Service::Projector);
    raw_sql(EARLIER).execute(&database).await.unwrap();
    deployment.launch(Service::Projector);
    deployment.ready(Service::Projector).await;

    check_found(&api, &users).await;
    api.update(&users[0].0, json!({ "claims": { "n": 10 } })).await.expect(200);
    users[0].1 = 10;
    api.delete(&users.remove(1).0).await.expect(204);
    users.push((api.user(json!({ "n": 11 })).await, 11));
    check_found(&api, &users).await;
    assert_eq!(
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM generation_1.postings")
            .fetch_one(&database)
            .await
            .unwrap(),
        0,
        "nobody keeps postings that are not complete"
    );

    let listed = || deployment.cli.run(&["projection", "list"]).expect(0).stdout;
    assert!(listed().contains("generation 1 was made by an earlier release"), "{}", listed());
    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    assert!(!listed().contains("earlier release"), "{}", listed());
    check_found(&api, &users).await;
    // Users 2 to 5 have two terms, the others one.
    assert_eq!(count_postings(&database, 2).await, 10);
    api.update(&users[0].0, json!({ "claims": { "n": 12, "m": 1 } })).await.expect(200);
    users[0].1 = 12;
    check_found(&api, &users).await;
    assert_eq!(count_postings(&database, 2).await, 11);
}

pub async fn another_secret_hides_nobody(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, database) = (deployment.tenant(), &deployment.database);
    let users = [(api.user(json!({ "n": 1 })).await, 1), (api.user(json!({ "n": 2 })).await, 2)];
    check_found(&api, &users).await;
    // As if the read model had been made anew under running services.
    let terms = "SELECT array_agg(terms::text ORDER BY id) FROM live.users";
    let before: Vec<String> = sqlx::query_scalar(terms).fetch_one(database).await.unwrap();
    raw_sql("DELETE FROM rollcall.search_secret; INSERT INTO rollcall.search_secret DEFAULT VALUES")
        .execute(database)
        .await
        .unwrap();
    // Its terms differ from those of the live one.
    deployment.cli.run(&["projection", "rebuild", "--promote", "--unverified"]).expect(0);
    check_found(&api, &users).await;
    let after: Vec<String> = sqlx::query_scalar(terms).fetch_one(database).await.unwrap();
    assert_ne!(before, after, "terms depend on the secret");
    // The projector has followed the new generation, and has the new secret.
    let users = [(api.user(json!({ "n": 3 })).await, 3)];
    check_found(&api, &users).await;
}

pub async fn searches_of_one_tenant_leave_the_others_alone(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (busy, other) = (deployment.tenant(), deployment.tenant());
    let id = other.user(json!({ "n": 1 })).await;
    busy.user(json!({ "n": 1 })).await;
    // Holds every search that needs postings.
    let mut lock = deployment.database.begin().await.unwrap();
    raw_sql("LOCK generation_1.postings").execute(&mut *lock).await.unwrap();
    let criteria = json!({ "claims": { "n": 1 } });
    let held = [0, 1, 2].map(|_| tokio::spawn(busy.search(criteria.clone()).into_future()));
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("three searches hold their connections", async || {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&deployment.database).await.unwrap();
        (waiting == 3).then_some(())
    })
    .await;
    let refused: Vec<Answer> =
        futures_util::future::join_all((0..61).map(|_| busy.search(criteria.clone()).into_future())).await;
    for answer in refused {
        let answer = answer.expect(503);
        assert_eq!(
            (answer.header("Retry-After"), &answer.json()["code"]),
            ("1", &json!("ServiceUnavailable"))
        );
        assert!(answer.text().contains("Too many searches"), "{}", answer.text());
    }
    assert_eq!(other.list("").await.expect(200).ids(), [id.as_str()]);
    assert_eq!(busy.list("").await.expect(200).data().len(), 1);
    other.get(&id).await.expect(200);
    let search = tokio::spawn(other.search(criteria.clone()).into_future());
    until("the other tenant's search has a connection", async || {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&deployment.database).await.unwrap();
        (waiting == 4).then_some(())
    })
    .await;
    lock.rollback().await.unwrap();
    for search in held {
        assert_eq!(search.await.unwrap().expect(200).data().len(), 1);
    }
    assert_eq!(search.await.unwrap().expect(200).ids(), [id.as_str()]);
}
