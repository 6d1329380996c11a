//! `rollcall run`

use super::{print, welcome::Welcome};
use crate::{
    local::{
        Children,
        env_file::{self, EnvFile},
        home::Home,
        lock,
        progress::{say, step},
        terminal,
    },
    services::Services,
    settings,
    stop::{Stop, stop},
};
use service_kit::{health::Health, server, settings::Settings};
use std::{
    collections::BTreeMap,
    net::TcpListener,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Run the whole service in the foreground, with local stores for those that are not set
///
/// DATABASE_URL, REDIS_URL and KAFKA_BROKERS name existing stores. For each one that is not set, a local
/// server is started, with its data in ROLLCALL_HOME.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object when everything is ready, instead of text
    #[arg(long)]
    json: bool,
    /// Start the local stores and no service, to restore a backup into them
    #[arg(long, conflicts_with = "json")]
    stores_only: bool,
}

/// How long the parts that are not ready may make no progress.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause between two checks.
const CHECK_PAUSE: Duration = Duration::from_millis(20);
/// How often a message says what the start is waiting for.
const MESSAGE_PAUSE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let mut settings = settings::from_env()?;
    let home = Home::create(&settings.home)?;
    let _lock = lock::take(&home)?;
    env_file::remove_stale(&home);
    let listener = if args.stores_only { None } else { Some(server::bind(settings.addr)?) };
    let _foreground = terminal::take();
    let stop = stop()?;
    let children = tokio::select! {
        children = Children::start(&home, &mut settings) => children?,
        () = stop.clone() => return Ok(()),
    };
    let outcome = match listener {
        None => stores_only(&home, &settings, stop).await,
        Some(listener) => with_children(args, &home, &settings, listener, stop).await,
    };
    children.stop().await;
    outcome
}

/// Keeps the stores up until it is stopped. Verbs find their addresses as if the service ran.
async fn stores_only(home: &Home, settings: &Settings, stop: Stop) -> anyhow::Result<()> {
    let _env_file = EnvFile::write(home, settings, settings.addr)?;
    print("ready: only the stores; `rollcall env` prints their addresses")?;
    stop.await;
    Ok(())
}

async fn with_children(
    args: &Args,
    home: &Home,
    settings: &Settings,
    listener: TcpListener,
    stop: Stop,
) -> anyhow::Result<()> {
    let start = async {
        let prepare = async {
            projector::migrate(settings).await?;
            event_log::check_log(settings).await
        };
        let prepared = step("preparing the read model and the topics", prepare).await;
        // A halted service still runs: the verbs that repair it need the stores, which may be children
        // of this process.
        let halted = prepared.map_or_else(|error| event_log::halted(error).map(Some), |()| Ok(None))?;
        anyhow::Ok((step("starting the services", Services::start(settings)).await?, halted))
    };
    let (services, halted) = tokio::select! {
        started = start => started?,
        () = stop.clone() => return Ok(()),
    };
    if let Some(reason) = &halted {
        say(format_args!("rollcall: not ready: {reason}"));
    }
    let started = Started { services: &services, is_halted: halted.is_some() };
    let outcome = serve(args, home, settings, listener, &started, stop).await;
    services.stop().await;
    outcome
}

/// The services, and whether they wait for an operator.
struct Started<'s> {
    services: &'s Services,
    is_halted: bool,
}

async fn serve(
    args: &Args,
    home: &Home,
    settings: &Settings,
    listener: TcpListener,
    started: &Started<'_>,
    stop: Stop,
) -> anyhow::Result<()> {
    let Started { services, is_halted } = started;
    let address = listener.local_addr()?;
    let env_file = EnvFile::write(home, settings, address)?;
    let mut server = std::pin::pin!(server::serve(
        listener,
        services.health.clone(),
        &settings.cors_origins,
        services.routes(),
        stop.clone()
    ));
    tokio::select! {
        outcome = &mut server => return outcome,
        outcome = ready(&services.health, *is_halted) => outcome?,
    }
    Welcome::new(settings, address)?.print(args.json)?;
    let outcome = server.await;
    drop(env_file);
    outcome
}

/// Waits until every part is ready. After a restore the read model may have much to catch up with.
async fn ready(health: &Health, is_halted: bool) -> anyhow::Result<()> {
    let (mut failing, mut changed, mut said) = (health.failing().await, Instant::now(), Instant::now());
    while !failing.is_empty() {
        // A halted service waits for an operator, however long that takes.
        let is_stuck = !is_halted && changed.elapsed() > READY_TIMEOUT;
        anyhow::ensure!(!is_stuck, "not ready, and no progress for a minute: {}", in_words(&failing));
        if said.elapsed() > MESSAGE_PAUSE {
            say(format_args!("not ready yet: {}", in_words(&failing)));
            said = Instant::now();
        }
        sleep(CHECK_PAUSE).await;
        let now = health.failing().await;
        if now != failing {
            (failing, changed) = (now, Instant::now());
        }
    }
    Ok(())
}

fn in_words(failing: &BTreeMap<&'static str, String>) -> String {
    let all: Vec<String> = failing.iter().map(|(name, reason)| format!("{name} ({reason})")).collect();
    all.join(", ")
}
