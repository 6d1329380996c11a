//! Fetches Apache Kafka's jars from Maven Central, once for each `$ROLLCALL_HOME`.

use super::{
    home::Home,
    install::in_path,
    process::{DeathSignal, command, finish},
    progress::step,
};
use anyhow::Context;
use std::{fs, path::Path};

const POM: &str = include_str!("kafka/pom.xml");
/// The version in the pom, which a test compares.
const VERSION: &str = "4.3.1";
/// The jars in Kafka's directory.
pub(crate) const LIBRARIES: &str = "4.3.1/libs";

/// Fetches the jars if they are missing.
pub(crate) async fn fetch_missing(home: &Home) -> anyhow::Result<()> {
    let kafka = home.join("kafka");
    let version = kafka.join(VERSION);
    if !kafka.join(LIBRARIES).is_dir() {
        step(
            &format!("fetching Apache Kafka {VERSION} with Maven (54 MB, only once)"),
            fetch(home, &version),
        )
        .await?;
    }
    Ok(())
}

/// Fetches into a directory beside the final one, then renames it, so that the jars are never
/// incomplete.
async fn fetch(home: &Home, version: &Path) -> anyhow::Result<()> {
    let maven = in_path("mvn");
    let maven = maven
        .context("not installed: mvn (Debian package maven); `make install` installs what is missing")?;
    let partial = version.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    fs::write(partial.join("pom.xml"), POM)?;
    let mut copy = command(&maven, DeathSignal::Kill, None);
    copy.args(["-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs"]);
    // Maven finds the pom in its working directory. As an argument, the path would go through a shell
    // script.
    copy.current_dir(&partial);
    let fetched = finish(copy, "Maven", home.open_log("maven")?, &home.log_path("maven")).await;
    fetched.context("can't fetch Apache Kafka. If a proxy is needed, set it in ~/.m2/settings.xml: Maven does not read it from the environment")?;
    let _ = fs::remove_dir_all(version);
    fs::rename(&partial, version).with_context(|| format!("can't create {}", version.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_fetches_the_expected_version() {
        assert_eq!(POM.matches("org.apache.kafka</groupId>").count(), 2);
        assert_eq!(POM.matches(&format!("<version>{VERSION}</version>")).count(), 2);
        assert_eq!(LIBRARIES, format!("{VERSION}/libs"));
    }
}
