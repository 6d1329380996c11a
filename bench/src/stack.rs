//! A build of the service on its own servers, with users.

use crate::{Build, client::Client, users};
use anyhow::{Context as _, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const START: Duration = Duration::from_secs(300);

/// The running service.
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) authority: String,
    pub(crate) token: String,
    build: Build,
    home: PathBuf,
    kafka_port: u16,
    child: Child,
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Stack {
    /// Starts a build and imports `count` users.
    pub(crate) fn start(build: &Build, count: u32) -> anyhow::Result<Self> {
        let stack = Self::launch(build, &build.name)?;
        stack.import(users::TENANT, (0..u64::from(count)).map(users::request))?;
        Ok(stack)
    }

    /// Starts a build with its data in a directory of that name.
    pub(crate) fn launch(build: &Build, directory: &str) -> anyhow::Result<Self> {
        let home = std::env::current_dir()?.join("target/bench").join(directory);
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home)?;
        let (authority, kafka_port) = (format!("127.0.0.1:{}", free_port()?), free_port()?);
        let mut run = command(build, &home, &authority, kafka_port);
        let child = launch(&mut run, &home)?;
        let (name, build, token) = (build.name.clone(), build.clone(), String::new());
        let mut stack = Self { name, authority, token, build, home, kafka_port, child };
        stack.wait_until_ready()?;
        stack.token = stack.token(users::TENANT)?;
        Ok(stack)
    }

    /// A token of a tenant.
    pub(crate) fn token(&self, tenant: &str) -> anyhow::Result<String> {
        Ok(self.output(&["token", "--tenant", tenant, "--ttl", "86400"])?.trim().to_owned())
    }

    /// Stops the service with its servers and starts it again: how long until it was ready.
    pub(crate) fn restart(&mut self) -> anyhow::Result<Duration> {
        self.terminate()?;
        let began = Instant::now();
        self.child = launch(&mut self.command(), &self.home)?;
        self.wait_until_ready()?;
        Ok(began.elapsed())
    }

    /// The main process. All others of the stack are its descendants.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory of the main process, in megabytes.
    pub(crate) fn resident_megabytes(&self) -> anyhow::Result<f64> {
        megabytes(self.pid(), "VmRSS:").context("VmRSS")
    }

    /// What another program needs to use the same servers and key set.
    pub(crate) fn environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        let exported = self.output(&["env"])?;
        let pairs = exported.lines().filter_map(|line| line.trim_start_matches("export ").split_once('='));
        let mut all: Vec<(String, String)> = pairs
            .filter(|(name, _)| ["DATABASE_URL", "KAFKA_BROKERS", "REDIS_URL"].contains(name))
            .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
            .collect();
        all.push(("ROLLCALL_HOME".to_owned(), self.home.display().to_string()));
        all.push(("ROLLCALL_JWKS_FILE".to_owned(), self.home.join("jwks.json").display().to_string()));
        Ok(all)
    }

    /// The address of one of its servers, by the name of the variable.
    pub(crate) fn address(&self, wanted: &str) -> anyhow::Result<String> {
        let found = self.environment()?.into_iter().find(|(name, _)| name == wanted);
        Ok(found.with_context(|| format!("{wanted} of the stack"))?.1)
    }

    /// Starts a verb of the command line.
    pub(crate) fn start_verb(&self, args: &[&str]) -> anyhow::Result<Child> {
        Ok(self.command().args(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?)
    }

    /// Runs a verb of the command line.
    pub(crate) fn verb(&self, args: &[&str]) -> anyhow::Result<()> {
        ensure!(self.start_verb(args)?.wait()?.success(), "rollcall {} failed", args.join(" "));
        Ok(())
    }

    /// The ids of all users, page by page.
    pub(crate) async fn ids(&self) -> anyhow::Result<Vec<String>> {
        let mut client = Client::connect(&self.authority, &self.token).await?;
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/core/v1/users?limit=1000{cursor}");
            let (status, body) = client.call("GET", &path, "").await?;
            ensure!(status == 200, "the list was answered {status}");
            let page: Value = serde_json::from_slice(body)?;
            let entries = page["data"].as_array().context("a list")?;
            ids.extend(entries.iter().filter_map(|user| Some(user["id"].as_str()?.to_owned())));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(ids),
            }
        }
    }

    /// Stops the stack and removes its data.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.terminate()?;
        Ok(fs::remove_dir_all(&self.home)?)
    }

    fn terminate(&mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    fn command(&self) -> Command {
        command(&self.build, &self.home, &self.authority, self.kafka_port)
    }

    fn output(&self, args: &[&str]) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.command().args(args).output()?.stdout)?)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let (log, give_up) = (self.home.join("run.log"), Instant::now() + START);
        while !fs::read_to_string(&log)?.lines().any(|line| line.starts_with("ready: ")) {
            ensure!(self.child.try_wait()?.is_none(), "{} has ended: see {}", self.name, log.display());
            ensure!(Instant::now() < give_up, "{} is not ready: see {}", self.name, log.display());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Imports users, a line each.
    pub(crate) fn import(&self, tenant: &str, lines: impl Iterator<Item = String>) -> anyhow::Result<()> {
        self.import_with(&[], tenant, lines)
    }

    /// The same, with further arguments.
    pub(crate) fn import_with(
        &self,
        args: &[&str],
        tenant: &str,
        lines: impl Iterator<Item = String>,
    ) -> anyhow::Result<()> {
        let mut import = self
            .command()
            .args(["log", "import", "-", "--tenant", tenant])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut input = BufWriter::new(import.stdin.take().context("a pipe")?);
        for line in lines {
            writeln!(input, "{line}")?;
        }
        drop(input);
        ensure!(import.wait()?.success(), "the import failed");
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Does nothing after `stop`.
        let _ = self.child.kill();
    }
}

/// The memory of a process, by the name of a line of its status. `None`: the process has ended.
pub(crate) fn megabytes(pid: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1_024.0)
}

fn command(build: &Build, home: &std::path::Path, authority: &str, kafka_port: u16) -> Command {
    let mut command = Command::new(build.dir.join("rollcall"));
    command.env("ROLLCALL_HOME", home).env("ROLLCALL_ADDR", authority).env("ROLLCALL_LOG", "warn");
    command.env("ROLLCALL_KAFKA_PORT", kafka_port.to_string());
    command.envs(build.settings.iter().map(|(name, value)| (name, value)));
    command
}

fn launch(command: &mut Command, home: &std::path::Path) -> anyhow::Result<Child> {
    let log = File::create(home.join("run.log"))?;
    command
        .arg("run")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("rollcall run")
}
