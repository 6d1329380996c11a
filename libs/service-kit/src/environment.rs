//! Removes foreign variables from the environment, so that only our own settings take effect.
//!
//! A shell often carries variables for other programs. sqlx reads libpq's `PG*`, OpenSSL its
//! certificates, an HTTP client its proxy, Java its options. Here they would act silently: a
//! `PGSSLMODE=require`, for example, makes the local PostgreSQL unreachable.

use anyhow::Context as _;
use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    process::Command,
};

/// What is removed, in any letter case. A trailing `*` matches every suffix.
const FOREIGN: &[&str] = &[
    // libpq, which sqlx imitates, and the server itself.
    "PG*",
    // The JVM, Kafka, its logging, and Maven. Maven's settings are in its own file,
    // ~/.m2/settings.xml.
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JAVA_HOME",
    "CLASSPATH",
    "KAFKA_*",
    "LOG4J_*",
    "MAVEN_*",
    "M2_HOME",
    // OpenSSL. Trust comes from the system, or from DATABASE_URL and librdkafka's settings.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSLKEYLOGFILE",
    "OPENSSL_*",
    // The HTTP client, for the key set and for Vault.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    // The Tokio and Rust runtimes.
    "TOKIO_WORKER_THREADS",
    "RUST_MIN_STACK",
];

/// Ours that match a foreign pattern.
const OURS: &[&str] = &["KAFKA_BROKERS", "KAFKA_BROKERS_FILE"];

/// Call this first in `main`. If the environment holds foreign variables, the program re-executes
/// itself without them. It can't just remove them: that is unsafe while other threads may read the
/// environment.
///
/// # Errors
/// Re-executing failed. The message names the variables.
pub fn clean() -> anyhow::Result<()> {
    let foreign: Vec<OsString> =
        env::vars_os().map(|(name, _)| name).filter(|name| is_foreign(name)).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = foreign.iter().map(|name| name.to_string_lossy()).collect();
    let refusal =
        || format!("these variables of the environment are for other programs: unset {}", names.join(", "));
    let mut again = Command::new(env::current_exe().with_context(refusal)?);
    let mut args = env::args_os();
    if let Some(name) = args.next() {
        again.arg0(name);
    }
    again.args(args);
    for name in &foreign {
        again.env_remove(name);
    }
    // `exec` returns only on failure.
    Err(again.exec()).with_context(refusal)
}

fn is_foreign(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let name = name.to_ascii_uppercase();
    let is = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *pattern,
    };
    FOREIGN.iter().any(is) && !OURS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_settings_and_the_systems_are_not_foreign() {
        let is_foreign = |name: &str| is_foreign(OsStr::new(name));
        for name in
            ["PGSSLMODE", "PGOPTIONS", "https_proxy", "JAVA_TOOL_OPTIONS", "KAFKA_OPTS", "OPENSSL_CONF"]
        {
            assert!(is_foreign(name), "{name}");
        }
        for name in
            ["KAFKA_BROKERS", "KAFKA_BROKERS_FILE", "DATABASE_URL", "ROLLCALL_HOME", "PATH", "HOME", "TZ"]
        {
            assert!(!is_foreign(name), "{name}");
        }
    }
}
