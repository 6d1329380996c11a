//! The local PostgreSQL: the read model and the users' data keys.

use super::{
    Started,
    home::{Home, write_private},
    install::Programs,
    ports::{Port, Ports},
    postgres_place::Place,
    process::{DeathSignal, command, finish},
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
/// The password's file in the home.
pub(super) const PASSWORD: &str = "postgres.password";
/// The SQLSTATE of a wrong password.
const WRONG_PASSWORD: &str = "28P01";

/// Settings on the command line, so that a newer release can change them.
const CONFIGURATION: [&str; 11] = [
    "listen_addresses=127.0.0.1",
    // Only TCP, because the path of a home may be too long for a socket.
    "unix_socket_directories=",
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=256MB",
    "max_connections=400",
    "max_wal_size=4GB",
    // Statements take a few milliseconds; compiling one takes longer.
    "jit=off",
    // WAL contains personal data, so old segments are deleted and not kept for reuse.
    "wal_recycle=off",
    // For the same reason statements and error details are not logged.
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
];

/// A server that is ready to be started.
pub(crate) struct Postgres {
    home: Home,
    programs: PathBuf,
    port: Port,
    password: String,
}

/// Picks the port and the password. `None` if the server is set.
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
    /// Starts the server and waits until it answers. Returns the process and its address.
    pub(crate) async fn start(self) -> anyhow::Result<Started> {
        step("starting PostgreSQL", self.start_server()).await
    }

    async fn start_server(self) -> anyhow::Result<Started> {
        let place = Place::find(&self.home).await?;
        let data = place.directory.join("data");
        if !data.is_dir() {
            self.initialize(&place, &data).await?;
        }
        let url = format!("postgres://{NAME}:{}@127.0.0.1:{}/{NAME}", self.password, self.port.number);
        let options = database::options(&url)?;
        let (cluster, secret) = (place.directory.clone(), self.home.join(PASSWORD));
        let mut child = Child::start(Spec {
            name: "PostgreSQL",
            home: self.home.clone(),
            command: Box::new(move || self.server(&place, &data)),
            stop_signal: Signal::SIGINT, // fast shutdown, which does not wait for clients
            log: "postgres",
        });
        child.ready(async || answers(&options).await).await?;
        ensure_database(&options).await.map_err(|error| explain(error, &cluster, &secret))?;
        Ok((child, url))
    }

    /// Creates the cluster beside its final place, then renames it, so that it is never half initialized.
    async fn initialize(&self, place: &Place, data: &Path) -> anyhow::Result<()> {
        let partial = data.with_extension("partial");
        let password = place.directory.join("password");
        let _ = fs::remove_dir_all(&partial);
        write_private(&password, &self.password)?;
        if let Some(account) = place.account {
            chown(&password, Some(account.uid), Some(account.gid))?;
        }
        let mut initdb = command(&self.programs.join("initdb"), DeathSignal::Kill, place.account);
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
        let mut server = command(&self.programs.join("postgres"), DeathSignal::Quit, place.account);
        server.arg("-D").arg(data).arg("-p").arg(self.port.number.to_string());
        for setting in CONFIGURATION {
            server.args(["-c", setting]);
        }
        server
    }
}

/// Options for the database that every cluster has.
fn maintenance(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().database("postgres")
}

/// Whether the server answers. A wrong password counts as an answer; the next connection reports it.
async fn answers(options: &PgConnectOptions) -> bool {
    match PgConnection::connect_with(&maintenance(options)).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(error) => is_wrong_password(&error),
    }
}

fn is_wrong_password(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == WRONG_PASSWORD)
}

/// Explains a wrong password: the cluster belongs to a home that was removed.
fn explain(error: sqlx::Error, cluster: &Path, secret: &Path) -> anyhow::Error {
    if !is_wrong_password(&error) {
        return error.into();
    }
    anyhow!(
        "the cluster in {} has another password than the one in {}, so it belongs to a ROLLCALL_HOME that was removed. It still contains \
         that home's users and their keys. Restore the home's files; or, to start without those users, move the cluster away and, if it is \
         a link, remove {}",
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
