//! The projector as a process of its own; its listener answers health and metrics.

use service_kit::{fault, health::Health, refusal::Refusal, server, settings::Settings, telemetry};

#[tokio::main]
async fn main() -> Result<(), Refusal> {
    let settings = Settings::from_env("127.0.0.1:8083")?;
    telemetry::init(&settings.log)?;
    fault::start();
    let health = Health::default();
    let listener = server::bind(settings.addr)?;
    let projector = projector::start(&settings, &health).await?;
    let served = server::serve(listener, health, |_| {}, server::stop_signal()).await;
    projector.stop().await;
    Ok(served?)
}
