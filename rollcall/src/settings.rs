//! The settings of the verbs: the environment, completed from the file that a running `rollcall run`
//! writes.

use crate::local::env_file;
use anyhow::Context as _;
use service_kit::{settings::Settings, telemetry};
use std::path::Path;

const ADDR: &str = "127.0.0.1:8080";

/// The settings from the environment alone, for `rollcall run`.
pub(crate) fn from_env() -> anyhow::Result<Settings> {
    let settings = Settings::from_env(ADDR)?;
    telemetry::init(&settings.log)?;
    Ok(settings)
}

/// The settings from the environment. What is not set there is read from `$ROLLCALL_HOME/env`, if the
/// file exists.
pub(crate) fn load() -> anyhow::Result<Settings> {
    let mut settings = from_env()?;
    complete(&mut settings)?;
    Ok(settings)
}

/// The error that a store is needed, but neither set nor running. `reason` says what is not set.
pub(crate) fn not_running(home: &Path, reason: &str) -> String {
    let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
    format!(
        "no service is running in {} and {reason}: start one with `make run`, set ROLLCALL_HOME to the home of a \
         running service, or set DATABASE_URL, REDIS_URL and KAFKA_BROKERS",
        home.display()
    )
}

/// The same for the home in the environment. `None` if the settings can't be read.
pub(crate) fn not_running_here(missing: &str) -> Option<String> {
    Some(not_running(&Settings::from_env(ADDR).ok()?.home, &format!("{missing} is not set")))
}

/// The name of the setting with the key store's address.
pub(crate) fn key_store_setting() -> &'static str {
    let is_separate = Settings::from_env(ADDR).is_ok_and(|settings| settings.keys_database_url.is_some());
    if is_separate { "ROLLCALL_KEYS_DATABASE_URL" } else { "DATABASE_URL" }
}

fn complete(settings: &mut Settings) -> anyhow::Result<()> {
    let is_complete =
        settings.database_url.is_some() && settings.redis_url.is_some() && settings.kafka_brokers.is_some();
    let written = match env_file::read(&settings.home) {
        Err(_) if is_complete => Vec::new(),
        read => read.with_context(|| {
            "DATABASE_URL, REDIS_URL and KAFKA_BROKERS are not all set, and only the owner of the service in ROLLCALL_HOME \
             can read where its stores are: run this as that user, or set all three"
        })?,
    };
    if settings.kafka_brokers.is_none() && !written.is_empty() {
        take_prefix(settings, &written)?;
    }
    for (name, value) in written {
        let setting = match name.as_str() {
            "ROLLCALL_URL" => &mut settings.url,
            "DATABASE_URL" => &mut settings.database_url,
            "REDIS_URL" => &mut settings.redis_url,
            "KAFKA_BROKERS" => &mut settings.kafka_brokers,
            _ => continue,
        };
        setting.get_or_insert(value);
    }
    Ok(())
}

/// The log of a running service is the one with its prefix. With another prefix, a verb would work
/// on another log: a rebuild could promote that.
fn take_prefix(settings: &mut Settings, written: &[(String, String)]) -> anyhow::Result<()> {
    let prefix = written.iter().find(|(name, _)| name == env_file::TOPIC_PREFIX);
    let prefix = prefix.map_or("", |(_, prefix)| prefix);
    anyhow::ensure!(
        settings.topic_prefix.is_empty() || settings.topic_prefix == prefix,
        "{}: is not that of the service that runs in {}, so this verb would work on another log than the service does. Unset it: \
         verbs then take the prefix of the service. To change the prefix, stop the service and start it with the new one",
        env_file::TOPIC_PREFIX,
        settings.home.display()
    );
    prefix.clone_into(&mut settings.topic_prefix);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn home(name: &str, env: &str) -> PathBuf {
        let home = std::env::temp_dir().join(format!("rollcall-settings-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("env"), env).unwrap();
        home
    }

    fn completed(home: &Path, vars: &[(&str, &str)]) -> anyhow::Result<Settings> {
        let home = ("ROLLCALL_HOME", home.to_str().unwrap());
        let vars: Vec<_> = vars
            .iter()
            .chain([&home])
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut settings = Settings::from_vars(vars, ADDR).unwrap();
        complete(&mut settings).map(|()| settings)
    }

    #[test]
    fn a_variable_that_is_set_wins_over_the_file() {
        let home = home("set", "DATABASE_URL=postgres://file?a=b\nREDIS_URL=redis://file\n");
        let settings = completed(&home, &[("REDIS_URL", "redis://own")]).unwrap();
        std::fs::remove_dir_all(&home).unwrap();
        assert_eq!(settings.database_url.as_deref(), Some("postgres://file?a=b"));
        assert_eq!(settings.redis_url.as_deref(), Some("redis://own"));
        assert_eq!(settings.kafka_brokers, None);
    }

    #[test]
    fn the_topic_prefix_is_that_of_the_running_service() {
        let stores = "DATABASE_URL=postgres://file\nREDIS_URL=redis://file\nKAFKA_BROKERS=file:1\n";
        let home = home("prefix", &format!("{stores}ROLLCALL_TOPIC_PREFIX=v3.\n"));
        assert_eq!(completed(&home, &[]).unwrap().topic_prefix, "v3.");
        assert!(completed(&home, &[("ROLLCALL_TOPIC_PREFIX", "v3.")]).is_ok());
        let refused = completed(&home, &[("ROLLCALL_TOPIC_PREFIX", "v2.")]).map(drop).unwrap_err();
        assert!(refused.to_string().starts_with("ROLLCALL_TOPIC_PREFIX: "), "{refused}");
        std::fs::write(home.join("env"), stores).unwrap();
        assert!(completed(&home, &[("ROLLCALL_TOPIC_PREFIX", "v2.")]).is_err(), "the service has none");
        let own = [
            ("DATABASE_URL", "postgres://own"),
            ("REDIS_URL", "redis://own"),
            ("KAFKA_BROKERS", "own:1"),
            ("ROLLCALL_TOPIC_PREFIX", "v2."),
        ];
        assert_eq!(completed(&home, &own).unwrap().topic_prefix, "v2.", "it is about other stores");
        std::fs::remove_dir_all(&home).unwrap();
    }
}
