//! One user with a writer and some readers: no read shows an older state than an earlier answer.

use serde_json::{Value, json};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use tests::{Answer, Api, until};

/// How many requests the writer and each reader make in each phase.
const STEPS: u64 = 30;

/// A user with its writer and readers.
pub struct Watch {
    /// The user.
    pub id: String,
    /// The user's partition.
    pub partition: i32,
    /// The instances that the writer uses in turn.
    writers: Vec<Api>,
    /// The instance of each reader.
    readers: Vec<Api>,
    /// The last write that was answered as visible.
    acknowledged: AtomicU64,
    writes: AtomicU64,
    reads: Vec<AtomicU64>,
    stop: AtomicBool,
    answers: Mutex<Vec<Written>>,
}

/// A write that reached the log.
#[derive(Debug, Clone)]
pub struct Written {
    /// The writer's number of the write.
    pub n: u64,
    /// The status of the answer.
    pub status: u16,
    /// Where it lies.
    pub position: (i32, i64),
    /// The version that `ETag` named.
    pub version: u64,
    /// When it was sent.
    pub sent: Instant,
    /// When it was answered.
    pub answered: Instant,
}

impl Watch {
    /// Creates the only user of a tenant. All `Api`s must be of that tenant.
    pub async fn new(writers: Vec<Api>, readers: Vec<Api>) -> Self {
        let created = writers[0].create(json!({ "claims": { "n": 0 } })).await.expect(201);
        Self {
            id: created.id(),
            partition: created.position().0,
            reads: readers.iter().map(|_| AtomicU64::new(0)).collect(),
            writers,
            readers,
            acknowledged: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            answers: Mutex::default(),
        }
    }

    /// Writes and reads until [`Self::stop`].
    pub async fn run(&self) {
        let readers = futures_util::future::join_all((0..self.readers.len()).map(|n| self.read(n)));
        tokio::join!(self.write(), readers);
    }

    /// Ends [`Self::run`].
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// The user's key in the log.
    pub fn key(&self) -> String {
        format!("{}/{}", self.writers[0].tenant, self.id)
    }

    /// The writes that reached the log so far.
    pub fn written(&self) -> Vec<Written> {
        self.answers.lock().unwrap().clone()
    }

    /// Waits until the writer and every reader have made progress.
    pub async fn further(&self, state: &str) {
        let counters = || [&self.writes].into_iter().chain(&self.reads).map(|n| n.load(Ordering::SeqCst));
        let aims: Vec<u64> = counters().map(|n| n + STEPS).collect();
        until(&format!("reads and writes go on: {state}"), async || {
            counters().zip(&aims).all(|(n, aim)| n >= *aim).then_some(())
        })
        .await;
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// The writer. It numbers its writes, so that every answer shows how recent it is.
    async fn write(&self) {
        for (n, api) in (1..).zip(self.writers.iter().cycle()) {
            if !self.goes_on() {
                break;
            }
            let sent = Instant::now();
            let answer = api.update(&self.id, json!({ "claims": { "n": n } })).await;
            self.answered(n, sent, &answer);
        }
    }

    fn answered(&self, n: u64, sent: Instant, answer: &Answer) {
        assert!(matches!(answer.status, 200 | 202 | 503), "{}: {}", answer.status, answer.text());
        // A write that was not visible in time promises nothing to readers.
        if answer.status == 200 {
            assert_eq!(answer.json()["claims"]["n"], n);
            self.acknowledged.fetch_max(n, Ordering::SeqCst);
            self.writes.fetch_add(1, Ordering::SeqCst);
        }
        if answer.status != 503 {
            let (position, version) = (answer.position(), answer.version());
            let answered = Instant::now();
            let written = Written { n, status: answer.status, position, version, sent, answered };
            self.answers.lock().unwrap().push(written);
        }
    }

    /// Reads by id, and sometimes by list. No read may show an older state than the one before.
    async fn read(&self, reader: usize) {
        let (api, mut seen) = (&self.readers[reader], 0);
        while self.goes_on() {
            let least = seen.max(self.acknowledged.load(Ordering::SeqCst));
            let read = self.reads[reader].load(Ordering::SeqCst);
            let shown = if read % 5 == 4 { listed(api).await } else { got(api, &self.id).await };
            if let Some(shown) = shown {
                assert!(shown >= least, "reader {reader} saw write {shown} after {least}");
                seen = shown;
                self.reads[reader].fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

async fn got(api: &Api, id: &str) -> Option<u64> {
    shown(&api.get(id).await, |body| &body["claims"]["n"])
}

async fn listed(api: &Api) -> Option<u64> {
    shown(&api.list("limit=1").await, |body| &body["data"][0]["claims"]["n"])
}

/// The number of the write that an answer shows, if it shows the user.
fn shown(answer: &Answer, number: impl Fn(&Value) -> &Value) -> Option<u64> {
    assert!(matches!(answer.status, 200 | 503), "{}: {}", answer.status, answer.text());
    (answer.status == 200).then(|| number(&answer.json()).as_u64().expect("a number"))
}
