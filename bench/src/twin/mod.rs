//! The twins: what the service is compared with, each in a process of its own.
//!
//! `bare` returns the same bytes without authentication and without a store: the ceiling of HTTP.
//! `crud` is what most people would build instead: the same check of tokens, the same table with
//! the same indexes in the same PostgreSQL, and an UPDATE with `synchronous_commit=on`. No events,
//! and no index for search. `searchable` has one.
//!
//! `query` and `silent` are the query service itself, with analytic events and without.

mod crud;
mod table;

pub(crate) use table::{GET, PLAIN, UPDATE, copy as copy_table, live_generation};

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::ValueEnum;
use read_model::projection_position::ProjectionPosition;
use service_kit::{analytics::Recorder, auth::Authenticator, health::Health, server, settings::Settings};
use std::{net::SocketAddr, sync::Arc};

/// A twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The same bytes, and nothing else
    Bare,
    /// Authentication and PostgreSQL, without a log
    Crud,
    /// The same, with an index for search
    Searchable,
    /// The query service
    Query,
    /// The query service without analytic events
    Silent,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Bare, Self::Crud, Self::Searchable, Self::Query, Self::Silent];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Crud => "crud",
            Self::Searchable => "searchable",
            Self::Query => "query",
            Self::Silent => "silent",
        }
    }
}

/// Serves a twin until the process is killed. It has as many workers as the service.
pub(crate) async fn serve(kind: Kind, addr: SocketAddr) -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    match kind {
        Kind::Bare => {
            let body = crate::users::stored("00000000-0000-4000-8000-000000000000", 0);
            let app = move || {
                let body = body.clone();
                let answer = move || {
                    let body = body.clone();
                    async move {
                        HttpResponse::Ok()
                            .content_type("application/json")
                            .insert_header(("ETag", "\"1\""))
                            .body(body)
                    }
                };
                App::new().default_service(web::to(answer))
            };
            HttpServer::new(app).workers(workers).bind(addr)?.run().await?;
        }
        Kind::Crud | Kind::Searchable => {
            let settings = Settings::from_env("127.0.0.1:0")?;
            let schema = if kind == Kind::Crud { table::PLAIN } else { table::SEARCHABLE };
            let state = crud::State::open(&settings, Arc::new(Authenticator::new(&settings)?), schema)?;
            let state = web::Data::new(state);
            let app = move || App::new().app_data(state.clone()).configure(crud::configure);
            HttpServer::new(app).workers(workers).bind(addr)?.run().await?;
        }
        Kind::Query => {
            let settings = Settings::from_env("127.0.0.1:0")?;
            reads(&settings, addr, Recorder::start(&settings)?).await?;
        }
        Kind::Silent => reads(&Settings::from_env("127.0.0.1:0")?, addr, Recorder::off()).await?,
    }
    Ok(())
}

/// Serves reads as the query service does.
async fn reads(settings: &Settings, addr: SocketAddr, recorder: Recorder) -> anyhow::Result<()> {
    let (health, authenticator) = (Health::default(), Arc::new(Authenticator::new(settings)?));
    let position = ProjectionPosition::start(settings)?;
    let app = query_service::start(settings, recorder, authenticator, &position, &health).await?;
    let configure = move |config: &mut web::ServiceConfig| app.configure(config);
    server::serve(server::bind(addr)?, health, &[], configure, server::stop_signal()).await
}
