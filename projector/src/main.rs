//! The projector as a process of its own. Its listener serves health and metrics.

use key_store::KeyCache;
use read_model::projection_position::ProjectionPosition;
use service_kit::{errors::ExitError, health::Health, program, server, settings::Settings};

const ABOUT: &str = "Folds the log into the read model.";
const ADDR: &str = "127.0.0.1:8083";

fn main() -> Result<(), ExitError> {
    program::run("projector", ABOUT, ADDR, serve)
}

async fn serve(settings: Settings) -> Result<(), ExitError> {
    let health = Health::default();
    let listener = server::bind(settings.addr)?;
    let (keys, position) = (KeyCache::start(&settings)?, ProjectionPosition::start(&settings)?);
    let projector = projector::start(&settings, &keys, &position, &health).await?;
    let served = server::serve(listener, health, &settings.cors_origins, |_| {}, server::stop_signal()).await;
    projector.stop().await;
    Ok(served?)
}
