//! The local Kafka: one node, broker and controller in one (KRaft).

use super::{
    Started,
    home::Home,
    install::Programs,
    kafka_jars,
    ports::{Port, Ports},
    process::{LastWord, command, finish},
    progress::step,
    supervise::{Child, Spec},
};
use anyhow::Context;
use nix::sys::signal::Signal;
use service_kit::settings::Settings;
use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
};
use tokio::process::Command;
use uuid::Uuid;

const PROPERTIES: &str = include_str!("kafka/server.properties");
const LOGGING: &str = include_str!("kafka/log4j2.properties");

/// What the broker needs, before it is started.
pub(crate) struct Kafka {
    home: Home,
    java: PathBuf,
    port: Port,
    controller: Port,
}

/// Picks the ports, unless the brokers are given.
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
                "ROLLCALL_KAFKA_PORT: port {wanted} is taken; name another, or none to take any that is free"
            )
        })?,
        None => ports.from("kafka", 9092)?,
    };
    let controller = ports.any("kafka-controller")?;
    Ok(Some(Kafka { home: home.clone(), java: programs.java.clone(), port, controller }))
}

impl Kafka {
    /// Starts it and waits until it answers; gives its address too.
    pub(crate) async fn start(self) -> anyhow::Result<Started> {
        let jars = kafka_jars::directory(&self.home).await?;
        step("starting Kafka", self.start_with(jars)).await
    }

    async fn start_with(self, jars: PathBuf) -> anyhow::Result<Started> {
        let home = self.home.clone();
        let port = self.port.number;
        let data = self.data();
        let properties = self.write_properties("server", &data)?;
        if !data.is_dir() {
            self.format(&jars, &data).await?;
        }
        let mut child = Child::start(Spec {
            name: "Kafka",
            command: Box::new(move || self.java(&jars, &["kafka.Kafka"], &properties)),
            stop_signal: Signal::SIGTERM,
            home,
            log: "kafka",
        });
        child.ready(async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).await?;
        Ok((child, format!("127.0.0.1:{port}")))
    }

    fn data(&self) -> PathBuf {
        self.home.join("kafka").join("data")
    }

    /// Beside the place first, and there by a rename: half a format is never found.
    async fn format(&self, jars: &Path, data: &Path) -> anyhow::Result<()> {
        let partial = data.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        let properties = self.write_properties("format", &partial)?;
        let cluster = Uuid::new_v4().simple().to_string();
        let mut format =
            self.java(jars, &["kafka.tools.StorageTool", "format", "-t", &cluster, "-c"], &properties);
        format.arg("--ignore-formatted");
        finish(format, "formatting Kafka's data", self.home.open_log("kafka")?, &self.home.log_path("kafka"))
            .await?;
        Ok(fs::rename(partial, data)?)
    }

    fn write_properties(&self, name: &str, data: &Path) -> anyhow::Result<PathBuf> {
        let values = [
            ("{port}", self.port.number.to_string()),
            ("{controller}", self.controller.number.to_string()),
            ("{data}", data.display().to_string()),
        ];
        let text = values.iter().fold(PROPERTIES.to_owned(), |text, (name, value)| text.replace(name, value));
        let path = self.home.join("kafka").join(format!("{name}.properties"));
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        fs::write(self.logging(), LOGGING)?;
        Ok(path)
    }

    fn logging(&self) -> PathBuf {
        self.home.join("kafka").join("log4j2.properties")
    }

    fn java(&self, jars: &Path, main: &[&str], properties: &Path) -> Command {
        let mut java = command(&self.java, LastWord::Kill, None);
        java.args(["-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"]);
        java.arg(format!("-Dlog4j2.configurationFile={}", self.logging().display()));
        java.arg("-cp").arg(jars.join("*")).args(main).arg(properties);
        java
    }
}
