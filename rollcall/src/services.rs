//! The three services in one process: two on one port, and the projector behind them.

use actix_web::web::ServiceConfig;
use service_kit::{analytics::Recorder, auth::Authenticator, health::Health, settings::Settings};
use std::{sync::Arc, time::Duration};

/// How long analytic events may take to be delivered at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// All of them, running.
pub(crate) struct Services {
    commands: command_service::App,
    queries: query_service::App,
    projector: projector::Running,
    recorder: Recorder,
    pub(crate) health: Health,
}

impl Services {
    /// Starts them; the schema and the topics must be there.
    pub(crate) async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let health = Health::default();
        let authenticator = Arc::new(Authenticator::new(settings)?);
        let recorder = Recorder::start(settings)?;
        let projector = projector::start(settings, &health).await?;
        let commands =
            command_service::start(settings, recorder.clone(), authenticator.clone(), &health).await?;
        let queries = query_service::start(settings, recorder.clone(), authenticator, &health).await?;
        Ok(Self { commands, queries, projector, recorder, health })
    }

    /// Mounts the operations of both, and then what answers the methods that neither took.
    pub(crate) fn routes(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let (commands, queries) = (self.commands.clone(), self.queries.clone());
        move |config| {
            commands.configure(config);
            queries.configure(config);
            command_service::fallbacks(config);
        }
    }

    /// Once no request is left: the projector first, then what is still on its way to the log.
    pub(crate) async fn stop(self) {
        self.projector.stop().await;
        self.commands.stop().await;
        self.queries.stop().await;
        self.recorder.flush(FLUSH).await;
    }
}
