//! Injects and ends faults.

use super::{
    plan::{Blow, Fault, INSTANCES, Target},
    windows::Window,
};
use crate::{Deployment, Server, Service, Stack};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{Connection as _, PgConnection};
use std::{
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};
use tokio::{task::block_in_place, time::sleep};

/// When to give up waiting.
pub(super) const BOUND: Duration = Duration::from_secs(120);
/// The pause between two checks.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// The deployment and the servers that faults hit.
pub(super) struct Victims {
    pub(super) deployment: Deployment,
    pub(super) stack: &'static Stack,
    /// Problems that no fault explains.
    pub(super) surprises: Vec<String>,
}

impl Victims {
    /// Starts several faults at once. Regular stops come first, because they take a while.
    pub(super) async fn strike(&mut self, faults: &[Fault]) {
        for fault in faults {
            if let (Target::Instance(service, n), Blow::Restart | Blow::Abort(..)) =
                (fault.target, fault.blow)
            {
                self.stop(service, n).await;
            }
        }
        for fault in faults {
            match fault.target {
                Target::Instance(service, n) => self.strike_instance(service, n, fault.blow),
                Target::Server(server) => self.strike_server(server, fault.blow).await,
            }
        }
    }

    fn strike_instance(&mut self, service: Service, n: usize, blow: Blow) {
        match blow {
            Blow::Freeze(_) => self.deployment.freeze(service, n),
            Blow::Abort(window, passes) => {
                self.deployment.launch_instance(service, n, &[("FAILPOINTS", &window.after(passes))]);
            }
            // Starting an instance kills the one that still runs.
            _ => self.deployment.launch_instance(service, n, &[]),
        }
    }

    async fn strike_server(&mut self, server: Server, blow: Blow) {
        let what = format!("{server:?} started again");
        insist(&mut self.surprises, &what, async || server.pid(self.stack).is_some()).await;
        match blow {
            Blow::Freeze(_) => server.freeze(self.stack),
            Blow::Restart => self.stop_server(server).await,
            Blow::Flush => {
                insist(&mut self.surprises, "a flush", async || flush(self.stack).await.is_ok()).await
            }
            Blow::Disconnect => {
                insist(&mut self.surprises, "an end of all connections", async || {
                    disconnect(self.stack).await.is_ok()
                })
                .await;
            }
            Blow::Kill | Blow::Abort(..) => server.kill(self.stack),
        }
    }

    /// Ends a fault after its duration.
    pub(super) async fn relent(&mut self, fault: Fault) {
        match (fault.target, fault.blow) {
            (Target::Instance(service, n), Blow::Freeze(_)) => self.deployment.thaw(service, n),
            (Target::Server(server), Blow::Freeze(_)) => server.thaw(self.stack),
            (Target::Instance(service, n), Blow::Abort(window, _)) => {
                self.dies(service, n, window).await;
                self.deployment.launch_instance(service, n, &[]);
            }
            _ => {}
        }
    }

    /// Asks an instance to stop, once it handles signals.
    async fn stop(&mut self, service: Service, n: usize) {
        let url = self.health(service, n, "live");
        insist(&mut self.surprises, &format!("{service:?} {n} live"), async || is_well(&url).await).await;
        if self.deployment.has_ended(service, n).is_none() {
            block_in_place(|| self.deployment.stop_instance(service, n));
        }
    }

    /// Waits until an instance has died at its window.
    async fn dies(&mut self, service: Service, n: usize, window: Window) {
        let ended = eventually(async || self.deployment.has_ended(service, n).is_some()).await;
        let status = ended.and_then(|()| self.deployment.has_ended(service, n));
        if status.and_then(|status| status.signal()) != Some(Signal::SIGABRT as i32) {
            self.surprises.push(format!("{service:?} {n} did not die at {}: {status:?}", window.point));
        }
    }

    /// Stops a server regularly. For Kafka this takes seconds; for PostgreSQL it is the fast
    /// shutdown, which does not wait for clients.
    async fn stop_server(&mut self, server: Server) {
        let signal = if server == Server::Postgres { Signal::SIGINT } else { Signal::SIGTERM };
        let before = server.pid(self.stack);
        if let Some(pid) = before {
            let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a pid is an i32")), signal);
        }
        let is_gone = async || server.pid(self.stack) != before;
        insist(&mut self.surprises, &format!("{server:?} stopped"), is_gone).await;
    }

    /// Waits until every instance is ready.
    pub(super) async fn ready(&mut self) {
        for (service, n) in instances() {
            let url = self.health(service, n, "ready");
            insist(&mut self.surprises, &format!("{service:?} {n} ready"), async || is_well(&url).await)
                .await;
        }
    }

    fn health(&self, service: Service, n: usize, what: &str) -> String {
        format!("{}/health/{what}", self.deployment.instance_url(service, n))
    }

    /// Reports and restarts instances that ended unexpectedly.
    pub(super) fn look_after(&mut self) {
        for (service, n) in instances() {
            if let Some(status) = self.deployment.has_ended(service, n) {
                self.surprises.push(format!("{service:?} {n} ended by itself: {status}"));
                self.deployment.launch_instance(service, n, &[]);
            }
        }
    }
}

/// All instances of all services.
pub(super) fn instances() -> impl Iterator<Item = (Service, usize)> {
    Service::ALL.into_iter().flat_map(|service| (0..INSTANCES).map(move |n| (service, n)))
}

/// Waits until `is_so` returns true. `None` if the time is up.
pub(super) async fn eventually(mut is_so: impl AsyncFnMut() -> bool) -> Option<()> {
    let give_up = Instant::now() + BOUND;
    while !is_so().await {
        if Instant::now() > give_up {
            return None;
        }
        sleep(LOOK).await;
    }
    Some(())
}

async fn insist(surprises: &mut Vec<String>, what: &str, is_so: impl AsyncFnMut() -> bool) {
    if eventually(is_so).await.is_none() {
        surprises.push(format!("it never came true: {what}"));
    }
}

async fn is_well(url: &str) -> bool {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
    let answer = http.expect("an HTTP client").get(url).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

async fn flush(stack: &Stack) -> redis::RedisResult<()> {
    let client = redis::Client::open(stack.var("REDIS_URL"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("FLUSHALL").exec_async(&mut connection).await
}

async fn disconnect(stack: &Stack) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(stack.var("DATABASE_URL")).await?;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    .execute(&mut connection)
    .await?;
    connection.close().await
}
