//! Redis is frozen, flushed, killed and restored from the past, under reads and writes: nothing is wrong, only slower.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tests::{Answer, Api, Deployment, RedisServer, Stack, until};

const READERS: usize = 3;
/// How far the writer and each reader get in one state of Redis before the next.
const STEPS: u64 = 30;

/// One user under a writer and some readers.
#[derive(Default)]
struct Watch {
    /// The last write that the writer was told is visible.
    acknowledged: AtomicU64,
    writes: AtomicU64,
    reads: [AtomicU64; READERS],
    stop: AtomicBool,
}

impl Watch {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// The one writer: it numbers its writes, so that whatever shows the user says how new it is.
    async fn write(&self, api: &Api, id: &str) {
        for n in 1.. {
            if !self.goes_on() {
                break;
            }
            let answer = api.update(id, json!({ "claims": { "n": n } })).await;
            // A write that was not visible in time promises nothing to a reader.
            if answer.status == 200 {
                assert_eq!(answer.json()["claims"]["n"], n);
                self.acknowledged.fetch_max(n, Ordering::SeqCst);
                self.writes.fetch_add(1, Ordering::SeqCst);
            } else {
                assert!(matches!(answer.status, 202 | 503), "{}: {}", answer.status, answer.text());
            }
        }
    }

    /// Reads by id, and now and then by list: whatever one read showed, the next one must not undo.
    async fn read(&self, api: &Api, id: &str, reader: usize) {
        let mut seen = 0;
        while self.goes_on() {
            let least = seen.max(self.acknowledged.load(Ordering::SeqCst));
            let read = self.reads[reader].load(Ordering::SeqCst);
            let shown = if read % 5 == 4 { listed(api).await } else { got(api, id).await };
            if let Some(shown) = shown {
                assert!(shown >= least, "reader {reader} saw write {shown} after {least}");
                seen = shown;
                self.reads[reader].fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Waits until the writer and every reader have come further.
    async fn further(&self, state: &str) {
        let counters = || [&self.writes].into_iter().chain(&self.reads).map(|n| n.load(Ordering::SeqCst));
        let aims: Vec<u64> = counters().map(|n| n + STEPS).collect();
        until(&format!("reads and writes go on while Redis is {state}"), async || {
            counters().zip(&aims).all(|(n, aim)| n >= *aim).then_some(())
        })
        .await;
    }
}

async fn got(api: &Api, id: &str) -> Option<u64> {
    shown(api.get(id).await, |body| &body["claims"]["n"])
}

async fn listed(api: &Api) -> Option<u64> {
    shown(api.list("limit=1").await, |body| &body["data"][0]["claims"]["n"])
}

/// Which write an answer shows, if it shows the user at all.
fn shown(answer: Answer, number: impl Fn(&Value) -> &Value) -> Option<u64> {
    assert!(matches!(answer.status, 200 | 503), "{}: {}", answer.status, answer.text());
    (answer.status == 200).then(|| number(&answer.json()).as_u64().expect("a number"))
}

pub async fn no_read_is_stale_whatever_happens_to_redis(stack: &'static Stack) {
    let mut redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, watch) = (deployment.tenant(), Watch::default());
    let id = api.user(json!({ "n": 0 })).await;
    let readers = futures_util::future::join_all((0..READERS).map(|n| watch.read(&api, &id, n)));
    let faults = async {
        torment(&mut redis, &watch).await;
        watch.stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(faults, watch.write(&api, &id), readers);
}

async fn torment(redis: &mut RedisServer, watch: &Watch) {
    watch.further("well").await;
    redis.command("SAVE").await;
    watch.further("saved").await;
    for _ in 0..2 {
        redis.freeze();
        watch.further("frozen").await;
        redis.thaw();
        watch.further("thawed").await;
    }
    redis.command("FLUSHALL").await;
    watch.further("flushed").await;
    redis.kill();
    watch.further("dead").await;
    // From the snapshot of the beginning: older versions, older leases.
    redis.restart().await;
    watch.further("back with an old snapshot").await;
    redis.kill();
    redis.restart().await;
    watch.further("back again at once").await;
}
