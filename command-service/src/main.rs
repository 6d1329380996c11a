//! The command service as a program of its own.

use key_store::KeyCache;
use read_model::projection_position::ProjectionPosition;
use service_kit::{
    analytics::Recorder, auth::Authenticator, errors::ExitError, health::Health, program, server,
    settings::Settings,
};
use std::sync::Arc;

const ABOUT: &str = "Takes the writes of the users API and appends their events to the log.";
const ADDR: &str = "127.0.0.1:8081";

fn main() -> Result<(), ExitError> {
    program::run("command-service", ABOUT, ADDR, serve)
}

async fn serve(settings: Settings) -> Result<(), ExitError> {
    let listener = server::bind(settings.addr)?;
    let (health, keys) = (Health::default(), KeyCache::start(&settings)?);
    let position = ProjectionPosition::start(&settings)?;
    let recorder = Recorder::start(&settings)?;
    let authenticator = Arc::new(Authenticator::new(&settings)?);
    let app =
        command_service::start(&settings, recorder.clone(), authenticator, &keys, &position, &health).await?;
    let configure = {
        let app = app.clone();
        move |config: &mut _| {
            app.configure(config);
            command_service::fallbacks(config);
        }
    };
    let served =
        server::serve(listener, health, &settings.cors_origins, configure, server::stop_signal()).await;
    app.stop().await;
    recorder.flush().await;
    Ok(served?)
}
