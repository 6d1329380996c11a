//! The local Kafka: one node that is broker and controller (KRaft).

use super::{
    Started,
    home::Home,
    install::Programs,
    kafka_jars,
    ports::{Port, Ports},
    process::{DeathSignal, command, finish},
    progress::step,
    supervise::{Child, Spec},
};
use anyhow::Context;
use nix::sys::signal::Signal;
use service_kit::settings::Settings;
use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
};
use tokio::process::Command;
use uuid::Uuid;

const PROPERTIES: &str = include_str!("kafka/server.properties");
const LOGGING: &str = include_str!("kafka/log4j2.properties");

/// File names in Kafka's directory.
const SERVER: &str = "server.properties";
const FORMAT: &str = "format.properties";
const LOGGING_NAME: &str = "log4j2.properties";
const DATA: &str = "data";
const PARTIAL: &str = "data.partial";

/// A broker that is ready to be started.
pub(crate) struct Kafka {
    home: Home,
    java: PathBuf,
    port: Port,
    controller: Port,
}

/// Picks the ports. `None` if the brokers are set.
pub(crate) fn prepare(
    home: &Home,
    programs: &Programs,
    ports: &mut Ports,
    settings: &Settings,
) -> anyhow::Result<Option<Kafka>> {
    if settings.kafka_brokers.is_some() {
        return Ok(None);
    }
    let port = match settings.kafka_port {
        Some(wanted) => Ports::exactly(wanted).with_context(|| {
            format!(
                "ROLLCALL_KAFKA_PORT: port {wanted} is in use; set another one, or unset it to use any free port"
            )
        })?,
        None => ports.from("kafka", 9092)?,
    };
    let controller = ports.any("kafka-controller")?;
    Ok(Some(Kafka { home: home.clone(), java: programs.java.clone(), port, controller }))
}

impl Kafka {
    /// Starts the broker and waits until it answers. Returns the process and its address.
    pub(crate) async fn start(self) -> anyhow::Result<Started> {
        kafka_jars::fetch_missing(&self.home).await?;
        step("starting Kafka", self.start_with_jars()).await
    }

    async fn start_with_jars(self) -> anyhow::Result<Started> {
        let home = self.home.clone();
        let port = self.port.number;
        self.write_properties(SERVER, DATA)?;
        if !self.directory().join(DATA).is_dir() {
            self.format().await?;
        }
        let mut child = Child::start(Spec {
            name: "Kafka",
            command: Box::new(move || self.java(&["kafka.Kafka", SERVER])),
            stop_signal: Signal::SIGTERM,
            home,
            log: "kafka",
        });
        child.ready(async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).await?;
        Ok((child, format!("127.0.0.1:{port}")))
    }

    /// Kafka's working directory. Files in it are passed by relative names, because the path of the home
    /// may contain characters that a class path, a list of directories or a properties file can't.
    fn directory(&self) -> PathBuf {
        self.home.join("kafka")
    }

    /// Formats a directory beside the data, then renames it, so that the data is never half formatted.
    async fn format(&self) -> anyhow::Result<()> {
        let partial = self.directory().join(PARTIAL);
        let _ = fs::remove_dir_all(&partial);
        self.write_properties(FORMAT, PARTIAL)?;
        let cluster = Uuid::new_v4().simple().to_string();
        let format = self.java(&[
            "kafka.tools.StorageTool",
            "format",
            "-t",
            &cluster,
            "-c",
            FORMAT,
            "--ignore-formatted",
        ]);
        finish(format, "formatting Kafka's data", self.home.open_log("kafka")?, &self.home.log_path("kafka"))
            .await?;
        Ok(fs::rename(partial, self.directory().join(DATA))?)
    }

    fn write_properties(&self, name: &str, data: &str) -> anyhow::Result<()> {
        let values = [
            ("{port}", self.port.number.to_string()),
            ("{controller}", self.controller.number.to_string()),
            ("{data}", data.to_owned()),
        ];
        let text = values.iter().fold(PROPERTIES.to_owned(), |text, (name, value)| text.replace(name, value));
        let path = self.directory().join(name);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        Ok(fs::write(self.directory().join(LOGGING_NAME), LOGGING)?)
    }

    fn java(&self, arguments: &[&str]) -> Command {
        let mut java = command(&self.java, DeathSignal::Kill, None);
        java.current_dir(self.directory());
        java.args(["-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"]);
        java.arg(format!("-Dlog4j2.configurationFile={LOGGING_NAME}"));
        java.arg("-cp").arg(format!("{}/*", kafka_jars::LIBRARIES)).args(arguments);
        java
    }
}
