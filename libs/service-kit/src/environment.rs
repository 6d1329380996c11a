//! Only our own settings act: what the libraries and the children would read of the environment is
//! taken out of it.
//!
//! A shell often carries variables for other programs. sqlx reads libpq's `PG*`, OpenSSL its
//! certificates, an HTTP client its proxy, Java its options. They would act here without a word: a
//! `PGSSLMODE=require` keeps the local PostgreSQL from ever being reached.

use anyhow::Context as _;
use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    process::Command,
};

/// What is taken out, in any letter case; with `*` at the end, all that begin so.
const FOREIGN: &[&str] = &[
    // libpq, which sqlx follows; and the server's own.
    "PG*",
    // The JVM, Kafka, its logging, and Maven. Maven's settings are in its own file, ~/.m2/settings.xml.
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JAVA_HOME",
    "CLASSPATH",
    "KAFKA_*",
    "LOG4J_*",
    "MAVEN_*",
    "M2_HOME",
    // OpenSSL: whom to trust is the system's, or said in DATABASE_URL and in librdkafka's settings.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSLKEYLOGFILE",
    "OPENSSL_*",
    // The HTTP client, for the key set and for Vault.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    // The run time.
    "TOKIO_WORKER_THREADS",
    "RUST_MIN_STACK",
];

/// Those of ours that begin like foreign ones.
const OURS: &[&str] = &["KAFKA_BROKERS", "KAFKA_BROKERS_FILE"];

/// Call it first of all in `main`. Where the environment holds foreign variables, the program is
/// started again without them, as the same process: no code of this one can remove a variable
/// safely, since other threads may be reading.
///
/// # Errors
/// The program can't be started again; the variables are named.
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
    // It comes back only where it has failed.
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
