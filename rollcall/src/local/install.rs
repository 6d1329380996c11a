//! Finds the programs of the local stores.

use service_kit::settings::Settings;
use std::path::{Path, PathBuf};

/// The paths of the programs. Empty for a program that is not needed.
pub(crate) struct Programs {
    /// The directory of the PostgreSQL server's programs.
    pub(crate) postgres: PathBuf,
    pub(crate) redis: PathBuf,
    pub(crate) java: PathBuf,
}

/// A program, its Debian package, and its path.
type Wanted = (&'static str, &'static str, Option<PathBuf>);

impl Programs {
    /// Finds the programs that the settings require. The error names all missing ones.
    pub(crate) fn find(settings: &Settings) -> anyhow::Result<Self> {
        let postgres =
            settings.database_url.is_none().then(|| ("postgres", "postgresql", postgres_directory()));
        let redis =
            settings.redis_url.is_none().then(|| ("redis-server", "redis-server", in_path("redis-server")));
        let java =
            settings.kafka_brokers.is_none().then(|| ("java", "default-jre-headless", in_path("java")));
        let children = postgres.is_some() || redis.is_some() || java.is_some();
        let setpriv = children.then(|| ("setpriv", "util-linux", in_path("setpriv")));
        refuse_missing(&[&postgres, &redis, &java, &setpriv])?;
        Ok(Self { postgres: path(postgres), redis: path(redis), java: path(java) })
    }
}

fn path(wanted: Option<Wanted>) -> PathBuf {
    wanted.and_then(|(_, _, place)| place).unwrap_or_default()
}

fn refuse_missing(wanted: &[&Option<Wanted>]) -> anyhow::Result<()> {
    let missing = wanted.iter().filter_map(|wanted| wanted.as_ref()).filter(|(_, _, place)| place.is_none());
    let missing: Vec<_> =
        missing.map(|(program, package, _)| format!("{program} (Debian package {package})")).collect();
    anyhow::ensure!(
        missing.is_empty(),
        "not installed: {}; `make install` installs what is missing",
        missing.join(", ")
    );
    Ok(())
}

/// Finds a program in `PATH`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// The directory in `PATH`, else that of the newest version that Debian has installed outside of it.
fn postgres_directory() -> Option<PathBuf> {
    let own = in_path("postgres").and_then(|postgres| postgres.parent().map(Path::to_path_buf));
    own.filter(|directory| directory.join("initdb").is_file()).or_else(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let versions = versions.filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        });
        versions.filter(|(_, bin)| bin.join("initdb").is_file()).max().map(|(_, bin)| bin)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_program_is_named_with_its_package() {
        let missing =
            refuse_missing(&[&Some(("a", "package-a", None)), &None, &Some(("b", "package-b", None))]);
        let message = missing.unwrap_err().to_string();
        assert!(message.contains("a (Debian package package-a), b (Debian package package-b)"), "{message}");
        assert!(message.contains("make install"));
    }
}
