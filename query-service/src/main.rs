//! The query service as a program of its own.

use read_model::projection_position::ProjectionPosition;
use service_kit::{
    analytics::Recorder, auth::Authenticator, command_line, environment, errors::ExitError, failpoint,
    health::Health, program, server, settings::Settings, telemetry,
};
use std::sync::Arc;

const ABOUT: &str = "Answers the reads of the users API from the read model.";
const ADDR: &str = "127.0.0.1:8082";

fn main() -> Result<(), ExitError> {
    environment::clean()?;
    command_line::parse("query-service", ABOUT, ADDR);
    program::run(serve())
}

async fn serve() -> Result<(), ExitError> {
    let settings = Settings::from_env(ADDR)?;
    telemetry::init(&settings.log)?;
    failpoint::start();
    let health = Health::default();
    let authenticator = Arc::new(Authenticator::new(&settings)?);
    let recorder = Recorder::start(&settings)?;
    let position = ProjectionPosition::start(&settings)?;
    let app = query_service::start(&settings, recorder.clone(), authenticator, &position, &health).await?;
    let listener = server::bind(settings.addr)?;
    tracing::info!(addr = %listener.local_addr()?, "the query service listens");
    let configure = {
        let app = app.clone();
        move |config: &mut actix_web::web::ServiceConfig| {
            app.configure(config);
            query_service::fallbacks(config);
        }
    };
    server::serve(listener, health, &settings.cors_origins, configure, server::stop_signal()).await?;
    app.stop().await;
    recorder.flush().await;
    Ok(())
}
