//! A build of the service on its own servers, with users.

use crate::{Build, client::Client};
use anyhow::{Context as _, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const TENANT: &str = "bench";
const START: Duration = Duration::from_secs(300);

/// The running service.
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) authority: String,
    pub(crate) token: String,
    /// The ids of its users.
    pub(crate) users: Vec<String>,
    home: PathBuf,
    child: Child,
}

/// A user with eight claims. `changed` is the claim that writers change.
pub(crate) fn user(n: u64, changed: Option<usize>) -> String {
    json!({ "claims": {
        "externalUserId": format!("u-{n}"), "name": format!("Ada Lovelace {n}"), "email": format!("ada{n}@example.com"),
        "level": n % 50, "active": n.is_multiple_of(2), "address": { "city": "Zurich", "zip": 8000 + n % 100 },
        "groups": ["staff", format!("team-{}", n % 20)], "writer": changed,
    } })
    .to_string()
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Stack {
    /// Starts a build and imports users.
    pub(crate) fn start(build: &Build, users: u32, runtime: &Runtime) -> anyhow::Result<Self> {
        let home = std::env::current_dir()?.join("target/bench").join(&build.name);
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home)?;
        let authority = format!("127.0.0.1:{}", free_port()?);
        let rollcall = build.dir.join("rollcall");
        let command = || {
            let mut command = Command::new(&rollcall);
            command.env("ROLLCALL_HOME", &home).env("ROLLCALL_ADDR", &authority).env("ROLLCALL_LOG", "warn");
            command.envs(build.settings.iter().map(|(name, value)| (name, value)));
            command
        };
        let log = File::create(home.join("run.log"))?;
        let mut run = command();
        run.arg("run").env("ROLLCALL_KAFKA_PORT", free_port()?.to_string());
        let child =
            run.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context("rollcall run")?;
        let mut stack = Self {
            name: build.name.clone(),
            authority: authority.clone(),
            token: String::new(),
            users: Vec::new(),
            home: home.clone(),
            child,
        };
        stack.wait_until_ready()?;
        let token = command().args(["token", "--tenant", TENANT, "--ttl", "86400"]).output()?;
        stack.token = String::from_utf8(token.stdout)?.trim().to_owned();
        import(command(), users)?;
        stack.users = runtime.block_on(ids(&stack))?;
        Ok(stack)
    }

    /// CPU time of the stack: its main process and all descendants.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let (log, give_up) = (self.home.join("run.log"), Instant::now() + START);
        while !fs::read_to_string(&log)?.lines().any(|line| line.starts_with("ready: ")) {
            ensure!(self.child.try_wait()?.is_none(), "{} has ended: see {}", self.name, log.display());
            ensure!(Instant::now() < give_up, "{} is not ready: see {}", self.name, log.display());
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Stops the stack.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(fs::remove_dir_all(&self.home)?)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Does nothing after `stop`.
        let _ = self.child.kill();
    }
}

fn import(mut command: Command, users: u32) -> anyhow::Result<()> {
    let mut import = command
        .args(["log", "import", "-", "--tenant", TENANT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut input = import.stdin.take().context("a pipe")?;
    for n in 0..u64::from(users) {
        writeln!(input, "{}", user(n, None))?;
    }
    drop(input);
    ensure!(import.wait()?.success(), "the import failed");
    Ok(())
}

/// The ids of all users, page by page.
async fn ids(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let mut client = Client::connect(&stack.authority, &stack.token).await?;
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, body) = client.call("GET", &format!("/core/v1/users?limit=1000{cursor}"), "").await?;
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
