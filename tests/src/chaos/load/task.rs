//! One client: sends random requests, one after the other.

use super::{
    Shared,
    client::{Ask, Heard},
    world::{Keyed, Known},
};
use crate::chaos::{
    history::{Kind, Operation, Reply},
    random::Random,
};
use futures_util::future::join;
use serde_json::{Value, json};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// The pause between requests in milliseconds, because the clients share the machine with the
/// service.
const PACE: u64 = 20;
/// The pause after a refused connection, because a starting service needs the CPU.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A client.
pub(super) struct Task {
    shared: Arc<Shared>,
    random: Random,
    seen: Vec<Operation>,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, seed: u64) -> Self {
        Self { shared, random: Random::new(seed), seen: Vec::new() }
    }

    /// Sends requests until the run ends. Returns the history.
    pub(super) async fn run(mut self) -> Vec<Operation> {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            self.act().await;
            tokio::time::sleep(Duration::from_millis(self.random.below(PACE))).await;
        }
        self.seen
    }

    async fn act(&mut self) {
        match self.random.below(100) {
            0..12 => self.create().await,
            12..46 => self.update().await,
            46..50 => self.delete().await,
            50..80 => self.get().await,
            80..85 => self.list().await,
            85..97 => self.search().await,
            _ => self.credentials().await,
        }
    }

    /// A create: without a key, with a key, twice at once with a key, or repeated with a used key,
    /// sometimes with another body.
    async fn create(&mut self) {
        let (n, chance) = (self.shared.world.number(), self.random.below(100));
        match self.shared.world.key(&mut self.random) {
            Some(used) if chance < 15 => self.send(create(used.n, Some(&used.key))).await,
            Some(used) if chance < 20 => self.send(create(n, Some(&used.key))).await,
            _ if !self.shared.world.is_sparse() => {}
            _ if chance < 60 => self.send(create(n, None)).await,
            _ => {
                let keyed = Keyed { key: format!("key-{n}"), n };
                self.shared.world.used_key(&keyed);
                if chance < 75 {
                    self.twice(&keyed).await
                } else {
                    self.send(create(n, Some(&keyed.key))).await
                }
            }
        }
    }

    async fn twice(&mut self, keyed: &Keyed) {
        let client = &self.shared.client;
        let one = || client.send(create(keyed.n, Some(&keyed.key)));
        let (one, other) = join(one(), one()).await;
        self.hear(one).await;
        self.hear(other).await;
    }

    async fn update(&mut self) {
        let Some(user) = self.shared.world.to_write(&mut self.random) else { return };
        let n = self.shared.world.number();
        let mut ask = Ask::new(Kind::Update, format!("/{}", user.id));
        ask.body = Some(body(n, user.origin));
        (ask.user, ask.n) = (Some(user.id.clone()), Some(n));
        let ask = self.guarded(ask, &user);
        self.send(ask).await;
        // A read right after a write is the most likely to be stale.
        if self.hits(50) {
            self.read(user).await;
        }
    }

    async fn delete(&mut self) {
        let Some(user) = self.shared.world.to_delete(&mut self.random) else { return };
        let mut ask = Ask::new(Kind::Delete, format!("/{}", user.id));
        ask.user = Some(user.id.clone());
        let ask = self.guarded(ask, &user);
        self.send(ask).await;
    }

    /// With `If-Match`, with `respond-async`, or with neither.
    fn guarded(&mut self, ask: Ask, user: &Known) -> Ask {
        let ask = if self.hits(30) { ask.header("If-Match", format!("\"{}\"", user.version)) } else { ask };
        if self.hits(15) { ask.header("Prefer", "respond-async") } else { ask }
    }

    async fn get(&mut self) {
        let Some(user) = self.shared.world.to_read(&mut self.random) else { return };
        self.read(user).await;
    }

    async fn read(&mut self, user: Known) {
        let ask = Ask { user: Some(user.id.clone()), ..Ask::new(Kind::Get, format!("/{}", user.id)) };
        let ask =
            if self.hits(15) { ask.header("If-None-Match", format!("\"{}\"", user.version)) } else { ask };
        let ask = self.after(ask);
        self.send(ask).await;
    }

    async fn list(&mut self) {
        let whole = || Ask::new(Kind::List, "?limit=1000");
        let ask = match self.shared.world.cursor() {
            Some((cursor, last)) => {
                Ask { after: Some(last), ..Ask::new(Kind::List, format!("?limit=50&cursor={cursor}")) }
            }
            None if self.hits(30) => Ask::new(Kind::List, "?limit=50"),
            None => whole(),
        };
        let ask = self.after(ask);
        self.send(ask).await;
    }

    async fn search(&mut self) {
        let Some(user) = self.shared.world.to_read(&mut self.random) else { return };
        let mut ask = Ask::new(Kind::Search, "/search");
        ask.body = Some(json!({ "claims": { "origin": user.origin } }));
        ask.n = Some(user.origin);
        ask.user = Some(user.id);
        let ask = self.after(ask);
        self.send(ask).await;
    }

    async fn credentials(&mut self) {
        let Some(user) = self.shared.world.to_read(&mut self.random) else { return };
        let ask = Ask::new(Kind::Credentials, format!("/{}/credentials", user.id));
        self.send(Ask { user: Some(user.id), ..ask }).await;
    }

    /// Sometimes with a known position in `Read-After`.
    fn after(&mut self, ask: Ask) -> Ask {
        let position = if self.hits(20) { self.shared.world.position(&mut self.random) } else { None };
        match position {
            Some(position) => ask.header("Read-After", position),
            None => ask,
        }
    }

    /// True with this percentage.
    fn hits(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    async fn send(&mut self, ask: Ask) {
        let heard = self.shared.client.send(ask).await;
        self.hear(heard).await;
    }

    async fn hear(&mut self, heard: Heard) {
        if heard.is_refused {
            tokio::time::sleep(BACK_OFF).await;
        }
        self.shared.count(&heard.operation);
        if let Some(token) = &heard.position {
            self.shared.world.heard_position(token);
        }
        if let Some(reply) = &heard.operation.reply {
            self.learn(&heard.operation, reply, heard.next_cursor);
        }
        self.seen.push(heard.operation);
    }

    fn learn(&self, operation: &Operation, reply: &Reply, next_cursor: Option<String>) {
        let world = &self.shared.world;
        match (operation.kind, &operation.user, reply.version) {
            (Kind::Create, Some(id), Some(version)) => {
                world.created(id, operation.n.unwrap_or_default(), version)
            }
            (Kind::Delete, Some(id), _) if reply.status == 204 => world.deleted(id),
            (Kind::Update | Kind::Get, Some(id), Some(version)) if reply.status != 202 => {
                world.seen(id, version)
            }
            (Kind::List, ..) => {
                world.leave_cursor(next_cursor.zip(reply.shown.last().map(|(id, _)| id.clone())))
            }
            _ => {}
        }
    }
}

fn create(n: u64, key: Option<&str>) -> Ask {
    let mut ask = Ask::new(Kind::Create, "");
    (ask.body, ask.n) = (Some(body(n, n)), Some(n));
    match key {
        Some(key) => ask.header("Idempotency-Key", key),
        None => ask,
    }
}

fn body(n: u64, origin: u64) -> Value {
    json!({ "claims": { "n": n, "origin": origin } })
}
