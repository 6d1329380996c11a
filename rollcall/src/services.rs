//! The three services in one process: command and query service on one port, and the projector.

use actix_web::web::ServiceConfig;
use key_store::KeyCache;
use read_model::projection_position::ProjectionPosition;
use service_kit::{analytics::Recorder, auth::Authenticator, health::Health, settings::Settings};
use std::sync::Arc;

/// The running services.
pub(crate) struct Services {
    commands: command_service::App,
    queries: query_service::App,
    projector: projector::Running,
    recorder: Recorder,
    pub(crate) health: Health,
}

impl Services {
    /// Starts the services. The schema and the topics must exist.
    pub(crate) async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let health = Health::default();
        let authenticator = Arc::new(Authenticator::new(settings)?);
        let recorder = Recorder::start(settings)?;
        let (keys, position) = (KeyCache::start(settings)?, ProjectionPosition::start(settings)?);
        let projector = projector::start(settings, &keys, &position, &health).await?;
        let commands = command_service::start(
            settings,
            recorder.clone(),
            authenticator.clone(),
            &keys,
            &position,
            &health,
        )
        .await?;
        let queries =
            query_service::start(settings, recorder.clone(), authenticator, &position, &health).await?;
        Ok(Self { commands, queries, projector, recorder, health })
    }

    /// The routes of both services, followed by the answers for methods that neither serves.
    pub(crate) fn routes(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let (commands, queries) = (self.commands.clone(), self.queries.clone());
        move |config| {
            commands.configure(config);
            queries.configure(config);
            command_service::fallbacks(config);
        }
    }

    /// Stops the services. Call it when no request is being handled any more. The projector stops
    /// first, then the command service, which waits for its appends.
    pub(crate) async fn stop(self) {
        self.projector.stop().await;
        self.commands.stop().await;
        self.queries.stop().await;
        self.recorder.flush().await;
    }
}
