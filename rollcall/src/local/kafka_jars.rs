//! Apache Kafka's own jars, from Maven Central, once for each `$ROLLCALL_HOME`.

use super::{
    home::Home,
    install::in_path,
    process::{LastWord, command, finish},
    progress::step,
};
use anyhow::Context;
use std::{fs, path::Path};

const POM: &str = include_str!("kafka/pom.xml");
/// As the pom has it; the tests keep them equal.
const VERSION: &str = "4.3.1";
/// Where they are in Kafka's directory.
pub(crate) const LIBRARIES: &str = "4.3.1/libs";

/// Fetches the jars if they are missing.
pub(crate) async fn fetch_missing(home: &Home) -> anyhow::Result<()> {
    let kafka = home.join("kafka");
    let version = kafka.join(VERSION);
    if !kafka.join(LIBRARIES).is_dir() {
        step(
            &format!("fetching Apache Kafka {VERSION} with Maven (54 MB, this once)"),
            fetch(home, &version),
        )
        .await?;
    }
    Ok(())
}

/// Beside the place first, and there by a rename: half a set of jars is never found.
async fn fetch(home: &Home, version: &Path) -> anyhow::Result<()> {
    let maven = in_path("mvn");
    let maven = maven
        .context("not installed: mvn (Debian package maven); `make install` installs what is missing")?;
    let partial = version.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    fs::write(partial.join("pom.xml"), POM)?;
    let mut copy = command(&maven, LastWord::Kill, None);
    copy.args(["-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs"]);
    // The pom is found there. Its path would go through a shell script.
    copy.current_dir(&partial);
    let fetched = finish(copy, "Maven", home.open_log("maven")?, &home.log_path("maven")).await;
    fetched.context("Apache Kafka can't be fetched: Maven takes a proxy from ~/.m2/settings.xml, not from the environment")?;
    let _ = fs::remove_dir_all(version);
    fs::rename(&partial, version).with_context(|| format!("can't make {}", version.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_fetches_the_version_that_is_looked_for() {
        assert_eq!(POM.matches("org.apache.kafka</groupId>").count(), 2);
        assert_eq!(POM.matches(&format!("<version>{VERSION}</version>")).count(), 2);
        assert_eq!(LIBRARIES, format!("{VERSION}/libs"));
    }
}
