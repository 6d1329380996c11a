//! Writes: create, update and delete, each one event at the end of the log.
//!
//! A write reads the user's version from the read model, decides (pure, in `domain`), appends one event with the next sequence and waits
//! until the projector says what became of it.

mod append;
mod data_keys;
mod delivery;
mod headers;
mod ids;
pub mod import;
mod metrics;
mod missing_key;
mod open_end;
mod origins;
mod problems;
mod reader;
mod rejection;
mod routes;
mod shape;
mod shown;
mod state;
mod together;
mod turns;
mod uncertain;
mod visible;
mod write;

pub use routes::fallbacks;

use actix_web::web::{Data, ServiceConfig};
use append::Log;
use data_keys::DataKeys;
use event_log::identity_watch::{IdentityCheck, IdentityWatch};
use futures_util::FutureExt as _;
use key_store::Keys;
use read_model::projection_position::ProjectionPosition;
use reader::Reader;
use rejection::Rejections;
use routes::Service;
use service_kit::{
    analytics::Recorder,
    auth::Authenticator,
    database::{self, Role},
    health::Health,
    operation::Frame,
    settings::Settings,
};
use state::States;
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;
use turns::Turns;
use uncertain::Inquiries;
use visible::Visible;
use write::Writer;

/// Reads before a write are short, so few connections serve many writers.
const CONNECTIONS: u32 = 12;
/// Most keys are in memory already, or made by a statement of their own.
const KEY_CONNECTIONS: u32 = 4;
/// How long what is on its way to the log may take at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// The service, running. Cheap to clone.
#[derive(Clone)]
pub struct App {
    service: Data<Service>,
}

/// Starts the service. It needs neither Kafka nor Postgres to be there yet; `health` says when they are.
///
/// # Errors
/// A setting is missing or bad, or the key store belongs to another deployment.
pub async fn start(
    settings: &Settings,
    recorder: Recorder,
    authenticator: Arc<Authenticator>,
    health: &Health,
) -> anyhow::Result<App> {
    metrics::show();
    let pool = database::by_key(database::pool(settings.database_url()?, Role::Reader, CONNECTIONS)?);
    let log = Arc::new(Log::users(settings)?);
    let which = IdentityWatch::start(IdentityCheck::new(settings, pool.clone())?);
    let projection = ProjectionPosition::start(pool.clone());
    watch(settings, health, &projection, &log, &which)?;
    let rejections = Rejections::new(pool.clone());
    let visible = Visible::new(projection, rejections, settings.visibility_timeout);
    let inquiries = Inquiries::start(log.clone(), which.clone(), visible.clone(), Reader::new(settings)?);
    let keys = Keys::start(settings, KEY_CONNECTIONS).await?;
    origins::try_out(&pool, &keys).await?;
    keys.watch(health);
    let data_keys = DataKeys::new(keys.clone(), pool.clone());
    let (states, turns) = (States::new(pool), Turns::default());
    let writer = Writer { log, which, states, keys, data_keys, visible, turns, inquiries };
    let frame = Frame { authenticator, recorder };
    let service = Service { frame, writer: Arc::new(writer), runtime: Handle::current() };
    Ok(App { service: Data::new(service) })
}

impl App {
    /// Mounts the operations.
    pub fn configure(&self, config: &mut ServiceConfig) {
        routes::configure(&self.service, config);
    }

    /// Waits (bounded) until what was appended is in the log.
    pub async fn stop(&self) {
        self.service.writer.log.clone().flush(FLUSH).await;
        self.service.writer.inquiries.stop().await;
        self.service.writer.keys.stop().await;
    }
}

fn watch(
    settings: &Settings,
    health: &Health,
    projection: &ProjectionPosition,
    log: &Arc<Log>,
    which: &IdentityWatch,
) -> anyhow::Result<()> {
    let (log, which) = (log.clone(), which.clone());
    health.add("kafka", move || kafka(log.clone(), which.clone()).boxed());
    // Nothing of a write is visible until the projector has written it there.
    let needs = "SELECT FROM live.checkpoints LIMIT 1";
    health.add_postgres("postgres", settings.database_url()?, Some(needs))?;
    projection.add_health_check(health);
    Ok(())
}

async fn kafka(log: Arc<Log>, which: IdentityWatch) -> Result<(), String> {
    if which.is_another() {
        return Err(
            "the log is not the one that was folded: nothing is written before an operator has acted"
                .to_owned(),
        );
    }
    log.check().await
}
