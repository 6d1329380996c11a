//! The local Redis: only a cache, so nothing is written to disk.

use super::{
    Started,
    home::{Home, write_private},
    install::Programs,
    ports::{Port, Ports},
    process::{DeathSignal, command},
    progress::step,
    supervise::{Child, Spec},
};
use nix::sys::signal::Signal;
use service_kit::settings::Settings;
use std::{fs::File, path::PathBuf};

const CONFIGURATION: &str = "redis.conf";
/// The password's file in the home.
pub(super) const PASSWORD: &str = "redis.password";

/// A server that is ready to be started.
pub(crate) struct Redis {
    home: Home,
    program: PathBuf,
    port: Port,
    password: String,
}

/// Picks the port and the password. `None` if the server is set.
pub(crate) fn prepare(
    home: &Home,
    programs: &Programs,
    ports: &mut Ports,
    settings: &Settings,
) -> anyhow::Result<Option<Redis>> {
    if settings.redis_url.is_some() {
        return Ok(None);
    }
    let (port, password) = (ports.any("redis")?, home.secret(PASSWORD)?);
    Ok(Some(Redis { home: home.clone(), program: programs.redis.clone(), port, password }))
}

impl Redis {
    /// Starts the server and waits until it answers. Returns the process and its address.
    pub(crate) async fn start(self) -> anyhow::Result<Started> {
        step("starting Redis", self.start_server()).await
    }

    async fn start_server(self) -> anyhow::Result<Started> {
        let url = format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port.number);
        let client = redis::Client::open(url.as_str())?;
        // In a file, because everybody can read a command line.
        write_private(&self.home.join(CONFIGURATION), &self.configuration())?;
        let mut child = Child::start(Spec {
            name: "Redis",
            home: self.home.clone(),
            command: Box::new(move || {
                let mut redis = command(&self.program, DeathSignal::Kill, None);
                // Redis treats a path as a pattern. If nothing matches, it starts with its defaults, on
                // a public port and without a password. So it gets the file on stdin.
                let port = self.port.number.to_string();
                redis.current_dir(self.home.path()).args(["-", "--bind", "127.0.0.1", "--port", &port]);
                if let Ok(configuration) = File::open(self.home.join(CONFIGURATION)) {
                    redis.stdin(configuration);
                }
                redis
            }),
            stop_signal: Signal::SIGTERM,
            log: "redis",
        });
        child.ready(async || answers(&client).await).await?;
        Ok((child, url))
    }

    fn configuration(&self) -> String {
        let (port, password) = (self.port.number, &self.password);
        // No log of slow commands either, because commands contain bodies.
        format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\nslowlog-log-slower-than -1\n"
        )
    }
}

async fn answers(client: &redis::Client) -> bool {
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
    redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
}
