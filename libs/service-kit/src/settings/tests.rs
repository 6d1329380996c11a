//! The settings as a whole.

use super::{names::SETTINGS, *};
use tempfile::NamedTempFile;

fn settings(vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_vars(vars, "127.0.0.1:8080")
}

#[track_caller]
fn refused(vars: &[(&str, &str)], name: &str) {
    match settings(vars) {
        Ok(_) => panic!("{vars:?} was taken"),
        Err(error) => assert_eq!(error.name, name, "{error}"),
    }
}

fn secret_file(content: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, content).unwrap();
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[test]
fn nothing_set_is_the_defaults() {
    let settings = settings(&[("PATH", "/bin"), ("OTHER_ROLLCALL_X", "1")]).unwrap();
    assert_eq!(settings.addr.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.home, PathBuf::from(".rollcall"));
    assert_eq!((settings.partitions, settings.is_partitions_given), (12, false));
    assert_eq!((settings.topic_prefix.as_str(), settings.log.as_str()), ("", "info"));
    assert_eq!(settings.visibility_timeout, Duration::from_secs(5));
    assert_eq!(settings.analytics_level, Level::NonSensitive);
    assert!(matches!(settings.jwt.jwks, Jwks::Local));
    assert_eq!(settings.jwt.issuer, "rollcall-local");
    assert_eq!(
        (settings.jwt.audience.as_str(), settings.jwt.tenant_claim.as_str()),
        ("rollcall", "tenant_id")
    );
    assert!(settings.database_url.is_none() && settings.url.is_none() && settings.kafka.is_empty());
    assert_eq!(settings.kafka_brokers().unwrap_err().to_string(), "KAFKA_BROKERS: is not set");
}

#[test]
fn an_unknown_name_is_refused_with_the_one_that_was_meant() {
    let error = settings(&[("ROLLCALL_PARTITION", "3")]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "ROLLCALL_PARTITION: there is no such setting; did you mean ROLLCALL_PARTITIONS?"
    );
    for name in
        ["ROLLCALL_", "ROLLCALL_KAFKA__", "ROLLCALL_addr", "ROLLCALL_LOG_FILE", "ROLLCALL_JWKS_URL_FILE"]
    {
        refused(&[(name, "1")], name);
    }
}

#[test]
fn a_bad_value_is_refused_by_name() {
    for (name, value) in [
        ("ROLLCALL_ADDR", "8080"),
        ("ROLLCALL_URL", "localhost:8080"),
        ("ROLLCALL_KAFKA_PORT", "0"),
        ("ROLLCALL_TOPIC_PREFIX", "a/b"),
        ("ROLLCALL_PARTITIONS", "0"),
        ("ROLLCALL_PARTITIONS", "1001"),
        ("ROLLCALL_REBUILD_RATE", "0"),
        ("ROLLCALL_REBUILD_RATE", "fast"),
        ("ROLLCALL_JWKS_URL", "file:///etc/passwd"),
        ("ROLLCALL_VISIBILITY_TIMEOUT", "5"),
        ("ROLLCALL_ANALYTICS_LEVEL", "4"),
        ("ROLLCALL_LOG", "loud"),
        ("ROLLCALL_LOG", "info,=["),
        ("DATABASE_URL", "mysql://db"),
        ("DATABASE_URL", "postgres://db/x?sslmode=x"),
        ("ROLLCALL_KEYS_DATABASE_URL", "postgres://db/x?sslmode=x"),
        ("REDIS_URL", "http://cache"),
        ("KAFKA_BROKERS", "kafka"),
    ] {
        refused(&[(name, value)], name);
    }
}

#[test]
fn an_empty_value_is_refused_but_for_the_prefix() {
    for setting in SETTINGS.iter().filter(|setting| setting.name != "ROLLCALL_TOPIC_PREFIX") {
        refused(&[(setting.name, "")], setting.name);
    }
    assert_eq!(settings(&[("ROLLCALL_TOPIC_PREFIX", "")]).unwrap().topic_prefix, "");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let file = secret_file("postgres://u:p@db/x\n");
    let settings = settings(&[("DATABASE_URL_FILE", path(&file))]).unwrap();
    assert_eq!(settings.database_url().unwrap(), "postgres://u:p@db/x");
    refused(&[("DATABASE_URL_FILE", path(&file)), ("DATABASE_URL", "postgres://db")], "DATABASE_URL");
    refused(&[("REDIS_URL_FILE", "/nonexistent")], "REDIS_URL_FILE");
    refused(&[("REDIS_URL_FILE", path(&secret_file("\n")))], "REDIS_URL_FILE");
}

#[test]
fn a_kafka_secret_may_come_from_a_file() {
    let file = secret_file("s3cret");
    let name = "ROLLCALL_KAFKA__sasl_password_FILE";
    assert_eq!(settings(&[(name, path(&file))]).unwrap().kafka["sasl.password"], "s3cret");
    assert!(settings(&[(name, path(&file)), ("ROLLCALL_KAFKA__sasl_password", "x")]).is_err());
}

#[test]
fn key_set_and_master_key_files_are_paths() {
    let settings =
        settings(&[("ROLLCALL_JWKS_FILE", "/keys.json"), ("ROLLCALL_MASTER_KEY_FILE", "/m.key")]).unwrap();
    assert!(matches!(settings.jwt.jwks, Jwks::File(path) if path.as_os_str() == "/keys.json"));
    assert_eq!(settings.master_key_file, Some(PathBuf::from("/m.key")));
    refused(&[("ROLLCALL_JWKS_FILE", "/k"), ("ROLLCALL_JWKS_URL", "https://idp/jwks")], "ROLLCALL_JWKS_URL");
}

#[test]
fn no_error_repeats_the_value() {
    for name in ["DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS", "ROLLCALL_KAFKA__sasl_mechanisms_x"] {
        let error = settings(&[(name, "hush")]).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }
}

/// `#NAME=default` lines of the example.
fn example() -> Vec<(&'static str, &'static str)> {
    let text = include_str!("../../../../.env.example");
    text.lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .filter(|(name, _)| is_name(name))
        .collect()
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_uppercase() || c == b'_')
}

#[test]
fn the_example_lists_every_setting_with_its_default_and_no_other() {
    let wanted: Vec<_> = SETTINGS
        .iter()
        .map(|setting| match setting.name {
            "ROLLCALL_ADDR" => (setting.name, "127.0.0.1:8080"),
            "ROLLCALL_KAFKA_PORT" => (setting.name, "9092"),
            name => (name, setting.default),
        })
        .collect();
    assert_eq!(example(), wanted);
}

#[test]
fn the_defaults_of_the_example_are_taken() {
    let given: Vec<_> = example().into_iter().filter(|(_, value)| !value.is_empty()).collect();
    assert!(settings(&given).is_ok());
}
