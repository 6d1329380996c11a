//! A cache that was lost is written by a walk over the users of each partition, in the order of
//! their keys. Whatever happens to Redis or to the projector meanwhile, it holds every user in the
//! end.

use super::plans::{EARLIER_PAGES, log_plans, without_statistics};
use serde_json::json;
use sqlx::{AssertSqlSafe, raw_sql};
use std::fmt::Write as _;
use tests::{Api, Deployment, RedisServer, Service, Stack, until};

/// Every partition has more users than fit into one chunk.
const MANY: u32 = 2_600;
/// Every partition has several users.
const FEW: u32 = 60;

/// Users and deleted users: the partition, the key, the offset, and what the cache must hold.
const EXPECTED: &str = "\
SELECT * FROM ( \
    SELECT log_partition, tenant_id || '/' || id AS key, log_offset, version || E'\\n' || body FROM live.users \
    UNION ALL SELECT log_partition, tenant_id || '/' || id, log_offset, version || E'\\n' FROM live.tombstones \
) all_users ORDER BY log_partition, key COLLATE \"C\"";

/// With [`EARLIER_PAGES`]: the indexes as fold 2 made them.
const EARLIER: &str = "\
DROP INDEX generation_1.users_partition, generation_1.tombstones_partition; \
CREATE INDEX users_log ON generation_1.users (log_partition, log_offset); \
CREATE INDEX tombstones_log ON generation_1.tombstones (log_partition, log_offset); \
UPDATE rollcall.generations SET fold_version = 2 WHERE id = 1";

/// A deployment with its own Redis.
struct Bench {
    deployment: Deployment,
    redis: RedisServer,
    api: Api,
}

/// A user, and what the cache must hold.
#[derive(Debug, Clone)]
struct Entry {
    partition: i32,
    user: String,
    offset: i64,
    key: String,
    value: String,
}

impl Bench {
    async fn start(stack: &'static Stack, users: u32) -> Self {
        let redis = RedisServer::start().await;
        let deployment = Deployment::start(stack, &redis.url()).await;
        let api = deployment.tenant();
        let lines = (0..users).fold(String::new(), |mut lines, n| {
            writeln!(lines, r#"{{"claims":{{"n":{n}}}}}"#).unwrap();
            lines
        });
        deployment.cli.run_with(&["log", "import", "-", "--tenant", &api.tenant], &lines).expect(0);
        let bench = Self { deployment, redis, api };
        bench.check().await;
        bench
    }

    /// All users, by partition and key.
    async fn expected(&self) -> Vec<Entry> {
        let rows: Vec<(i32, String, i64, String)> =
            sqlx::query_as(EXPECTED).fetch_all(&self.deployment.database).await.unwrap();
        let entry = |(partition, user, offset, value): (i32, String, i64, String)| {
            let key = format!("rollcall:{}{{{partition}}}:1:{user}", self.deployment.prefix);
            Entry { partition, user, offset, key, value }
        };
        rows.into_iter().map(entry).collect()
    }

    /// Waits until every cache is written up to the end, and checks that it holds every user as
    /// PostgreSQL does.
    async fn check(&self) {
        self.check_without(None).await;
    }

    /// The same, but the cache holds nothing of this user.
    async fn check_without(&self, missing: Option<&Entry>) {
        until("the cache is level", async || self.is_level().await.then_some(())).await;
        let expected = self.expected().await;
        let found = self.redis.values(expected.iter().map(|entry| entry.key.as_str())).await;
        for (entry, found) in expected.iter().zip(found) {
            let is_missing = missing.is_some_and(|missing| missing.key == entry.key);
            assert_eq!(found.as_ref(), (!is_missing).then_some(&entry.value), "{entry:?}");
        }
    }

    async fn is_level(&self) -> bool {
        let positions: Vec<(i32, i64)> =
            sqlx::query_as("SELECT partition, next_offset FROM live.checkpoints WHERE topic = 'users'")
                .fetch_all(&self.deployment.database)
                .await
                .unwrap();
        for (partition, position) in positions {
            let next = self.redis.get(&self.next_key(partition)).await.unwrap_or_default();
            if next.splitn(3, '/').nth(2) != Some(&position.to_string()) {
                return false;
            }
        }
        true
    }

    /// Checks that no cache was begun anew since.
    async fn check_continued(&self, walk: &Walk) {
        let next = self.redis.get(&self.next_key(walk.partition)).await.expect("a cache");
        assert!(next.starts_with(&format!("{}/", walk.cache)), "{next} continues {}", walk.cache);
    }

    fn next_key(&self, partition: i32) -> String {
        format!("rollcall:{}{{{partition}}}:next", self.deployment.prefix)
    }
}

pub async fn a_lost_cache_is_written_in_the_order_of_keys(stack: &'static Stack) {
    let mut bench = Bench::start(stack, MANY).await;
    for id in bench.api.list("limit=2").await.expect(200).ids() {
        bench.api.delete(&id).await.expect(204);
    }
    without_statistics(&bench.deployment.database).await;
    log_plans(&bench.deployment.database).await;
    let analyze = "ANALYZE generation_1.users, generation_1.tombstones";
    for sql in ["", analyze] {
        raw_sql(sql).execute(&bench.deployment.database).await.unwrap();
        for plan in walk_plans(stack, &mut bench).await {
            for index in ["users_partition", "tombstones_partition"] {
                assert!(follows(&plan, index), "{index}: {plan}");
            }
        }
    }

    let earlier = EARLIER_PAGES.replace("{g}", "generation_1") + EARLIER;
    raw_sql(AssertSqlSafe(earlier)).execute(&bench.deployment.database).await.unwrap();
    for sql in ["VACUUM generation_1.users", analyze] {
        raw_sql(sql).execute(&bench.deployment.database).await.unwrap();
        let plans = walk_plans(stack, &mut bench).await;
        let follow_keys = |plan: &&String| follows(plan, "users_pkey") && follows(plan, "tombstones_pkey");
        // Other tests use the same server.
        assert!(plans.iter().filter(follow_keys).count() > 4, "{plans:#?}");
    }
    // The rows are the same, so the rebuild is verified.
    bench.deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
}

/// Loses the cache while no projector runs, and checks that a new one writes it. Returns the plans
/// of its chunks, none of which may read more of a partition than it returns.
async fn walk_plans(stack: &Stack, bench: &mut Bench) -> Vec<String> {
    let path = stack.home.join("logs/postgres.log");
    let before = std::fs::read_to_string(&path).unwrap().len();
    bench.deployment.stop(Service::Projector);
    bench.redis.command("FLUSHALL").await;
    bench.deployment.launch(Service::Projector);
    bench.deployment.ready(Service::Projector).await;
    bench.check().await;
    let log = std::fs::read_to_string(&path).unwrap();
    let plans = log[before..].split("LOG:  duration: ");
    let plans = plans.filter(|plan| plan.contains("Query Text") && plan.contains("octet_length(body) <="));
    let plans: Vec<String> = plans.map(str::to_owned).collect();
    assert!(plans.len() > 4, "more than one chunk for a partition: {}", plans.len());
    for plan in &plans {
        for node in ["Sort  (", "Bitmap", "users_log", "tombstones_log"] {
            assert!(!plan.contains(node), "{node}: {plan}");
        }
    }
    plans
}

fn follows(plan: &str, index: &str) -> bool {
    plan.contains(&format!("Index Scan using {index} on"))
}

/// A partition whose walk has come to the first user. The last one was changed after it began.
struct Walk {
    partition: i32,
    first: Entry,
    /// The generation and the cache version in `next`.
    cache: String,
}

/// Leaves the cache as a projector does that ends within a walk.
async fn stop_within_a_walk(bench: &mut Bench) -> Walk {
    let last = bench.expected().await.pop().expect("a user");
    let (_, id) = last.user.split_once('/').unwrap();
    bench.api.update(id, json!({ "claims": { "changed": true } })).await.expect(200);
    bench.check().await;
    bench.deployment.stop(Service::Projector);

    let users = bench.expected().await;
    let of_partition: Vec<&Entry> = users.iter().filter(|user| user.partition == last.partition).collect();
    let [first, others @ .., last] = of_partition.as_slice() else { panic!("{of_partition:?}") };
    assert!(others.iter().all(|user| user.offset < last.offset), "{of_partition:?}");
    for user in others.iter().chain([last]) {
        bench.redis.command(&format!("DEL {}", user.key)).await;
    }
    let next = bench.redis.get(&bench.next_key(last.partition)).await.expect("a cache");
    let (cache, _) = next.rsplit_once('/').unwrap();
    let walk = format!("{cache}/0..{}/{}", last.offset, first.user);
    bench.redis.set(&bench.next_key(last.partition), &walk).await;
    Walk { partition: last.partition, first: (*first).clone(), cache: cache.to_owned() }
}

pub async fn another_projector_goes_on_with_a_walk(stack: &'static Stack) {
    let mut bench = Bench::start(stack, FEW).await;
    let walk = stop_within_a_walk(&mut bench).await;
    // What the walk has behind it, nobody writes again.
    bench.redis.command(&format!("DEL {}", walk.first.key)).await;
    bench.deployment.launch(Service::Projector);
    bench.deployment.ready(Service::Projector).await;
    bench.check_without(Some(&walk.first)).await;
    bench.check_continued(&walk).await;

    // A walk that this release can't read begins again.
    bench.deployment.stop(Service::Projector);
    let foreign = format!("{}/0..9/{}/1", walk.cache, bench.api.tenant);
    bench.redis.set(&bench.next_key(walk.partition), &foreign).await;
    bench.deployment.launch(Service::Projector);
    bench.deployment.ready(Service::Projector).await;
    bench.check().await;
}

pub async fn a_redis_restored_within_a_walk_is_completed(stack: &'static Stack) {
    let mut bench = Bench::start(stack, FEW).await;
    let walk = stop_within_a_walk(&mut bench).await;
    bench.redis.command("SAVE").await;
    bench.deployment.launch(Service::Projector);
    bench.deployment.ready(Service::Projector).await;
    bench.check().await;
    // Users on both sides of the place to which the walk had come are newer than in the snapshot.
    for user in bench.expected().await.into_iter().filter(|user| user.partition == walk.partition) {
        let (_, id) = user.user.split_once('/').unwrap();
        let sent = bench.api.update(id, json!({ "claims": { "changed": "twice" } })).await;
        sent.expect(200);
    }
    bench.redis.kill();
    bench.redis.restart().await;
    bench.check().await;
    bench.check_continued(&walk).await;
}
