//! A mixed load of reads and writes by several clients. Each records its requests and answers.

mod client;
mod task;
mod world;

use super::{
    history::{History, Identity, Operation},
    random::Random,
};
use client::Client;
use futures_util::future::join_all;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use task::Task;
use tokio::task::JoinHandle;
use world::World;

/// The number of clients.
const CLIENTS: u64 = 10;

/// The target of a load.
#[derive(Clone)]
pub struct Targets {
    /// The base URLs of the command services.
    pub command: Vec<String>,
    /// The base URLs of the query services.
    pub query: Vec<String>,
    /// A tenant that nobody else uses.
    pub tenant: String,
    /// Its token.
    pub token: String,
}

impl std::fmt::Debug for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Targets").field("command", &self.command).field("query", &self.query).finish()
    }
}

/// What all clients share.
struct Shared {
    client: Client,
    world: World,
    is_over: AtomicBool,
    acked: AtomicU64,
    /// The same by partition.
    acked_in: Mutex<BTreeMap<i32, u64>>,
    reads: AtomicU64,
}

/// A running load.
pub struct Load {
    targets: Targets,
    shared: Arc<Shared>,
    began: JoinHandle<Vec<Option<Identity>>>,
    tasks: Vec<JoinHandle<Vec<Operation>>>,
}

impl Load {
    /// Starts the clients. Their requests follow from the seed.
    pub fn start(targets: Targets, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            client: Client::new(&targets),
            world: World::default(),
            is_over: AtomicBool::new(false),
            acked: AtomicU64::new(0),
            acked_in: Mutex::default(),
            reads: AtomicU64::new(0),
        });
        let mut seeds = Random::new(seed);
        let tasks = (0..CLIENTS).map(|_| tokio::spawn(Task::new(shared.clone(), seeds.number()).run()));
        let tasks = tasks.collect();
        let (all, asked) = (targets.clone(), shared.clone());
        let began = tokio::spawn(async move { asked.client.identities(&all).await });
        Self { targets, shared, began, tasks }
    }

    /// The number of writes answered with success.
    pub fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::SeqCst)
    }

    /// The same by the partition of their events.
    pub fn acked_in(&self) -> BTreeMap<i32, u64> {
        self.shared.acked_in.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of reads answered with 200.
    pub fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::SeqCst)
    }

    /// Waits until the clients have finished their requests, and returns the history.
    ///
    /// # Panics
    /// A client panicked.
    pub async fn stop(self) -> History {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let seen = join_all(self.tasks).await;
        let operations = seen.into_iter().flat_map(|task| task.expect("a client")).collect();
        History { targets: self.targets, operations, began: self.began.await.expect("a client") }
    }
}

impl Shared {
    fn count(&self, operation: &Operation) {
        let Some(reply) = &operation.reply else { return };
        match (operation.kind.is_write(), reply.status) {
            (true, 200..=204) => {
                self.acked.fetch_add(1, Ordering::SeqCst);
                if let Some((partition, _)) = reply.position {
                    let mut acked_in = self.acked_in.lock().unwrap_or_else(PoisonError::into_inner);
                    *acked_in.entry(partition).or_default() += 1;
                }
            }
            (false, 200) => drop(self.reads.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
    }
}

impl History {
    /// The processes that answer now.
    pub async fn identities(&self) -> Vec<Option<Identity>> {
        Client::new(&self.targets).identities(&self.targets).await
    }
}
