//! What is measured: the service of some build, or a twin beside its servers.

use crate::{client::Client, stack::Stack, twin::Kind};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Something that answers requests.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) authority: String,
    pub(crate) token: String,
    /// The ids of its users.
    pub(crate) users: Arc<Vec<String>>,
    /// Cursors of pages of 100: of the first page, and of one behind three quarters of all users.
    pub(crate) cursors: [String; 2],
    /// The processes that work for it, each with all that it started.
    pub(crate) pids: Vec<u32>,
    /// A twin's own process.
    child: Option<Child>,
}

impl Subject {
    /// The service itself.
    pub(crate) async fn service(stack: &Stack, users: Arc<Vec<String>>) -> anyhow::Result<Self> {
        let mut subject = Self {
            name: stack.name.clone(),
            authority: stack.authority.clone(),
            token: stack.token.clone(),
            users,
            cursors: Default::default(),
            pids: vec![stack.pid()],
            child: None,
        };
        subject.cursors[1] = subject.deep_cursor().await?;
        Ok(subject)
    }

    /// Starts a twin beside a stack.
    pub(crate) async fn twin(kind: Kind, stack: &Stack, users: Arc<Vec<String>>) -> anyhow::Result<Self> {
        let authority = format!("127.0.0.1:{}", crate::stack::free_port()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["twin", kind.name(), "--addr", &authority]);
        for (name, value) in stack.environment()? {
            command.env(name, value);
        }
        let child = command.stdin(Stdio::null()).spawn().context("the twin")?;
        let mut subject = Self {
            name: kind.name().to_owned(),
            authority,
            token: stack.token.clone(),
            users,
            cursors: Default::default(),
            pids: vec![child.id(), stack.pid()],
            child: Some(child),
        };
        subject.wait().await?;
        if kind == Kind::Crud {
            subject.cursors[1] = subject.deep_cursor().await?;
        }
        Ok(subject)
    }

    async fn wait(&self) -> anyhow::Result<()> {
        let give_up = Instant::now() + Duration::from_secs(20);
        while Client::connect(&self.authority, "").await.is_err() {
            ensure!(Instant::now() < give_up, "{} does not listen", self.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The cursor behind three quarters of the users, as part of a query.
    async fn deep_cursor(&self) -> anyhow::Result<String> {
        let mut client = Client::connect(&self.authority, &self.token).await?;
        let (mut seen, mut cursor) = (0, String::new());
        while seen < self.users.len() * 3 / 4 {
            let path = format!("/core/v1/users?limit=1000{cursor}");
            let (status, body) = client.call("GET", &path, "").await?;
            ensure!(status == 200, "a page was answered {status}");
            let page: Value = serde_json::from_slice(body)?;
            seen += page["data"].as_array().context("a page")?.len();
            cursor = format!("&cursor={}", page["nextCursor"].as_str().context("a cursor")?);
        }
        Ok(cursor)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
