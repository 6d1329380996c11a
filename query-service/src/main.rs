//! The query service as a program of its own.

use read_model::projection_position::ProjectionPosition;
use service_kit::{
    analytics::Recorder, auth::Authenticator, errors::ExitError, health::Health, program, server,
    settings::Settings,
};
use std::sync::Arc;

const ABOUT: &str = "Answers the reads of the users API from the read model.";
const ADDR: &str = "127.0.0.1:8082";

fn main() -> Result<(), ExitError> {
    program::run("query-service", ABOUT, ADDR, serve)
}

async fn serve(settings: Settings) -> Result<(), ExitError> {
    let listener = server::bind(settings.addr)?;
    let health = Health::default();
    let authenticator = Arc::new(Authenticator::new(&settings)?);
    let recorder = Recorder::start(&settings)?;
    let position = ProjectionPosition::start(&settings)?;
    let app = query_service::start(&settings, recorder.clone(), authenticator, &position, &health).await?;
    tracing::info!(addr = %listener.local_addr()?, "the query service listens");
    let configure = {
        let app = app.clone();
        move |config: &mut actix_web::web::ServiceConfig| {
            app.configure(config);
            query_service::fallbacks(config);
        }
    };
    let served =
        server::serve(listener, health, &settings.cors_origins, configure, server::stop_signal()).await;
    app.stop().await;
    recorder.flush().await;
    Ok(served?)
}
