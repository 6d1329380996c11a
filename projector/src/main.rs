//! The projector as a process of its own. Its listener serves health and metrics.

use key_store::KeyCache;
use read_model::projection_position::ProjectionPosition;
use service_kit::{
    command_line, environment, errors::ExitError, failpoint, health::Health, program, server,
    settings::Settings, telemetry,
};

const ABOUT: &str = "Folds the log into the read model.";
const ADDR: &str = "127.0.0.1:8083";

fn main() -> Result<(), ExitError> {
    environment::clean()?;
    command_line::parse("projector", ABOUT, ADDR);
    program::run(serve())
}

async fn serve() -> Result<(), ExitError> {
    let settings = Settings::from_env(ADDR)?;
    telemetry::init(&settings.log)?;
    failpoint::start();
    let health = Health::default();
    let listener = server::bind(settings.addr)?;
    let (keys, position) = (KeyCache::start(&settings)?, ProjectionPosition::start(&settings)?);
    let projector = projector::start(&settings, &keys, &position, &health).await?;
    let served = server::serve(listener, health, &settings.cors_origins, |_| {}, server::stop_signal()).await;
    projector.stop().await;
    Ok(served?)
}
