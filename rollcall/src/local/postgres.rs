//! The local PostgreSQL: the read model and the users' data keys.

use super::{
    Started,
    home::{Home, write_private},
    install::Programs,
    ports::{Port, Ports},
    postgres_place::Place,
    process::{LastWord, command, finish},
    progress::step,
    supervise::{Child, Spec},
};
use anyhow::anyhow;
use nix::{sys::signal::Signal, unistd::chown};
use service_kit::{database, settings::Settings};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::process::Command;

const NAME: &str = "rollcall";
/// The file of the password, in the home.
const PASSWORD: &str = "postgres.password";
/// SQLSTATE of a password that is not the right one.
const WRONG_PASSWORD: &str = "28P01";

/// On the command line, so that a newer release of this program may change them.
const CONFIGURATION: [&str; 11] = [
    "listen_addresses=127.0.0.1",
    // Over TCP alone: the path of a socket has a length that a home may exceed.
    "unix_socket_directories=",
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=256MB",
    "max_connections=400",
    "max_wal_size=4GB",
    // Statements take a few milliseconds; to compile one takes more.
    "jit=off",
    // What was written ahead is gone with its file, and not kept in one that waits to be used again: it holds what users say of themselves.
    "wal_recycle=off",
    // For the same reason no statement and no detail of an error comes into the log.
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
];

/// What the server needs, before it is started.
pub(crate) struct Postgres {
    home: Home,
    programs: PathBuf,
    port: Port,
    password: String,
}

/// Picks the port and the password, unless the server is given.
pub(crate) fn prepare(
    home: &Home,
    programs: &Programs,
    ports: &mut Ports,
    settings: &Settings,
) -> anyhow::Result<Option<Postgres>> {
    if settings.database_url.is_some() {
        return Ok(None);
    }
    let (port, password) = (ports.any("postgres")?, home.secret(PASSWORD)?);
    Ok(Some(Postgres { home: home.clone(), programs: programs.postgres.clone(), port, password }))
}

impl Postgres {
    /// Starts it and waits until it answers; gives its address too.
    pub(crate) async fn start(self) -> anyhow::Result<Started> {
        step("starting PostgreSQL", self.start_silently()).await
    }

    async fn start_silently(self) -> anyhow::Result<Started> {
        let place = Place::find(&self.home).await?;
        let data = place.directory.join("data");
        if !data.is_dir() {
            self.initialise(&place, &data).await?;
        }
        let url = format!("postgres://{NAME}:{}@127.0.0.1:{}/{NAME}", self.password, self.port.number);
        let options = database::options(&url)?;
        let (cluster, secret) = (place.directory.clone(), self.home.join(PASSWORD));
        let mut child = Child::start(Spec {
            name: "PostgreSQL",
            home: self.home.clone(),
            command: Box::new(move || self.server(&place, &data)),
            stop_signal: Signal::SIGINT, // its fast shutdown, which does not wait for clients
            log: "postgres",
        });
        child.ready(async || answers(&options).await).await?;
        ensure_database(&options).await.map_err(|error| said(error, &cluster, &secret))?;
        Ok((child, url))
    }

    /// Beside the place first, and there by a rename: half a cluster is never found.
    async fn initialise(&self, place: &Place, data: &Path) -> anyhow::Result<()> {
        let partial = data.with_extension("partial");
        let password = place.directory.join("password");
        let _ = fs::remove_dir_all(&partial);
        write_private(&password, &self.password)?;
        if let Some(account) = place.account {
            chown(&password, Some(account.uid), Some(account.gid))?;
        }
        let mut initdb = command(&self.programs.join("initdb"), LastWord::Kill, place.account);
        initdb
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "-U", NAME, "-D"])
            .arg(&partial);
        initdb.arg("--pwfile").arg(&password);
        let outcome =
            finish(initdb, "initdb", self.home.open_log("postgres")?, &self.home.log_path("postgres")).await;
        fs::remove_file(password)?;
        outcome?;
        Ok(fs::rename(partial, data)?)
    }

    fn server(&self, place: &Place, data: &Path) -> Command {
        let mut server = command(&self.programs.join("postgres"), LastWord::Quit, place.account);
        server.arg("-D").arg(data).arg("-p").arg(self.port.number.to_string());
        for setting in CONFIGURATION {
            server.args(["-c", setting]);
        }
        server
    }
}

/// The database that every cluster has.
fn maintenance(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().database("postgres")
}

/// A server that refuses the password answers, too: who connects next says what is wrong.
async fn answers(options: &PgConnectOptions) -> bool {
    match PgConnection::connect_with(&maintenance(options)).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(error) => is_wrong_password(&error),
    }
}

fn is_wrong_password(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == WRONG_PASSWORD)
}

/// A cluster may be older than the password that the home has now: then it is of a home that was removed.
fn said(error: sqlx::Error, cluster: &Path, secret: &Path) -> anyhow::Error {
    if !is_wrong_password(&error) {
        return error.into();
    }
    anyhow!(
        "the cluster in {} has another password than {} says, so it was made by a home that is gone; its users and their keys are still in \
         it. Put that home's files back; or, to begin anew without those users, move the cluster away and, if it is a link, remove {}",
        cluster.display(),
        secret.display(),
        secret.with_file_name("postgres").display()
    )
}

async fn ensure_database(options: &PgConnectOptions) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect_with(&maintenance(options)).await?;
    let exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'rollcall')";
    if !sqlx::query_scalar::<_, bool>(exists).fetch_one(&mut connection).await? {
        sqlx::query("CREATE DATABASE rollcall").execute(&mut connection).await?;
    }
    connection.close().await
}
