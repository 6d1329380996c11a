//! A stack loses its servers, one by one and all at once. Reads go on without Kafka, and `rollcall
//! run` and the services recover.

use super::{all_read, bench::down, bounded, ledger::Ledger};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tests::{Api, Server, Stack, scratch, until};

/// How long a server is frozen in tests of the recovery.
const FROZEN: Duration = Duration::from_secs(3);

/// A slow server: how long it is frozen each time, and how long it runs in between.
const STALLED: Duration = Duration::from_millis(300);
const AT_WORK: Duration = Duration::from_millis(50);

/// A stack with a user to read.
struct Bench {
    stack: Stack,
    api: Api,
    id: String,
    ledger: Ledger,
}

/// The time from the fault, or from its end, until a write and each kind of read succeed.
struct Recovery {
    fault: String,
    write: Duration,
    read: Duration,
}

pub async fn a_stack_recovers_by_itself() {
    let home = scratch("outages");
    let stack = tokio::task::spawn_blocking(move || Stack::start(&home)).await.unwrap();
    let api = stack.tenant();
    let id = api.user(json!({ "kind": "probe" })).await;
    let bench = Bench { stack, api, id, ledger: Ledger::default() };

    bench.kafka_frozen().await;
    bench.kafka_slow().await;
    bench.kafka_dies_again_and_again().await;
    let mut table = Vec::new();
    for server in Server::ALL {
        table.push(bench.killed(&[server]).await);
    }
    table.push(bench.killed(&Server::ALL).await);
    for server in Server::ALL {
        table.push(bench.frozen(server).await);
    }
    let log = bench.stack.log().await;
    bench.ledger.check(&bench.api, &log).await;
    bench.stack.stop().unwrap();
    show(&table);
}

impl Bench {
    /// Reads go on, and every write is answered.
    async fn kafka_frozen(&self) {
        Server::Kafka.freeze(&self.stack);
        self.lacks_kafka().await;
        for _ in 0..4 {
            let (status, ()) = tokio::join!(self.ledger.create(&self.api), self.read_much());
            assert_eq!(status, 503, "nothing can be written");
        }
        Server::Kafka.thaw(&self.stack);
        self.heals().await;
    }

    /// Reads are not affected; writes are slow or answered with `Retry-After`.
    async fn kafka_slow(&self) {
        let work = async {
            for _ in 0..10 {
                tokio::join!(self.ledger.create(&self.api), self.read_much());
            }
        };
        let stalls = async {
            loop {
                Server::Kafka.freeze(&self.stack);
                tokio::time::sleep(STALLED).await;
                Server::Kafka.thaw(&self.stack);
                tokio::time::sleep(AT_WORK).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stalls => {}
        }
        Server::Kafka.thaw(&self.stack);
        self.heals().await;
    }

    async fn kafka_dies_again_and_again(&self) {
        for _ in 0..3 {
            until("Kafka is started again", async || Server::Kafka.pid(&self.stack)).await;
            Server::Kafka.kill(&self.stack);
            tokio::join!(self.ledger.create(&self.api), self.read_much());
        }
        self.heals().await;
    }

    async fn read_much(&self) {
        for _ in 0..30 {
            all_read(&self.api, &self.id).await;
        }
    }

    async fn lacks_kafka(&self) {
        until("health names Kafka", async || {
            let asked = self.api.anonymous().path(Method::GET, "/health/ready");
            let answer = bounded("health is told", asked.attempt()).await.unwrap();
            (answer.status == 503 && down(&answer.json()).contains("kafka")).then_some(())
        })
        .await;
    }

    async fn heals(&self) {
        self.ledger.works(&self.api).await;
        until("everything is ready", async || {
            let asked = self.api.anonymous().path(Method::GET, "/health/ready").attempt().await.unwrap();
            (asked.status == 200).then_some(())
        })
        .await;
        all_read(&self.api, &self.id).await;
    }

    async fn killed(&self, servers: &[Server]) -> Recovery {
        servers.iter().for_each(|server| server.kill(&self.stack));
        self.recovery(format!("{servers:?} killed")).await
    }

    async fn frozen(&self, server: Server) -> Recovery {
        server.freeze(&self.stack);
        let end = tokio::time::Instant::now() + FROZEN;
        // Clients write meanwhile.
        tokio::join!(self.ledger.create(&self.api), tokio::time::sleep_until(end), async {
            tokio::time::sleep_until(end).await;
            server.thaw(&self.stack);
        });
        self.recovery(format!("{server:?} frozen")).await
    }

    async fn recovery(&self, fault: String) -> Recovery {
        let since = Instant::now();
        let write = async {
            self.ledger.works(&self.api).await;
            since.elapsed()
        };
        let read = async {
            until("all reads work", async || {
                let answers = super::reads(&self.api, &self.id).await;
                answers.iter().all(|answer| answer.status == 200).then_some(())
            })
            .await;
            since.elapsed()
        };
        let (write, read) = tokio::join!(write, read);
        self.heals().await;
        Recovery { fault, write, read }
    }
}

fn show(table: &[Recovery]) {
    eprintln!("{:<32} {:>8} {:>8}", "from fault or thaw to the first", "write", "reads");
    for Recovery { fault, write, read } in table {
        eprintln!("{fault:<32} {:>7.1}s {:>7.1}s", write.as_secs_f64(), read.as_secs_f64());
    }
}
