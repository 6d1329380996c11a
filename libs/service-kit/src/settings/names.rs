//! Every variable and its default. Used for reading, for `.env.example`, and for suggesting a name
//! on a typo.

/// One variable.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// Empty: no default, or one that the text in `.env.example` explains.
    pub(super) default: &'static str,
    /// Whether `<NAME>_FILE` may name a file that contains the value.
    pub(super) is_secret: bool,
}

const fn plain(name: &'static str, default: &'static str) -> Setting {
    Setting { name, default, is_secret: false }
}

const fn secret(name: &'static str) -> Setting {
    Setting { name, default: "", is_secret: true }
}

/// The prefix of librdkafka's own settings.
pub(super) const KAFKA_PREFIX: &str = "ROLLCALL_KAFKA__";

/// Every variable except librdkafka's own. `ROLLCALL_ADDR` has a different default in each service.
pub(super) const SETTINGS: &[Setting] = &[
    plain("ROLLCALL_ADDR", ""),
    plain("ROLLCALL_URL", ""),
    plain("ROLLCALL_HOME", ".rollcall"),
    secret("DATABASE_URL"),
    secret("REDIS_URL"),
    secret("KAFKA_BROKERS"),
    plain("ROLLCALL_KAFKA_PORT", ""),
    plain("ROLLCALL_TOPIC_PREFIX", ""),
    plain("ROLLCALL_PARTITIONS", "12"),
    plain("ROLLCALL_JWKS_URL", ""),
    plain("ROLLCALL_JWKS_FILE", ""),
    plain("ROLLCALL_JWT_ISSUER", "rollcall-local"),
    plain("ROLLCALL_JWT_AUDIENCE", "rollcall"),
    plain("ROLLCALL_TENANT_CLAIM", "tenant_id"),
    plain("ROLLCALL_MASTER_KEY_FILE", ""),
    plain("ROLLCALL_VAULT_ADDR", ""),
    secret("ROLLCALL_VAULT_TOKEN"),
    plain("ROLLCALL_VAULT_MOUNT", "transit"),
    plain("ROLLCALL_VAULT_KEY", "rollcall"),
    secret("ROLLCALL_KEYS_DATABASE_URL"),
    plain("ROLLCALL_VISIBILITY_TIMEOUT", "5s"),
    plain("ROLLCALL_ANALYTICS_LEVEL", "2"),
    plain("ROLLCALL_CORS_ORIGINS", ""),
    plain("ROLLCALL_REBUILD_RATE", ""),
    plain("ROLLCALL_LOG", "info"),
];

/// The variable with that name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The variable whose name is closest to an unknown one, if it is close enough.
pub(super) fn nearest(unknown: &str) -> Option<&'static str> {
    let unknown = unknown.strip_suffix("_FILE").unwrap_or(unknown);
    let distances = SETTINGS.iter().map(|setting| (strsim::levenshtein(unknown, setting.name), setting.name));
    distances.min().filter(|(distance, _)| *distance <= 5).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use strsim::levenshtein as distance;

    #[test]
    fn a_typo_finds_what_was_meant() {
        assert_eq!(nearest("ROLLCALL_PARTITION"), Some("ROLLCALL_PARTITIONS"));
        assert_eq!(nearest("ROLLCALL_ADDR_FILE"), Some("ROLLCALL_ADDR"));
        assert_eq!(nearest("ROLLCALL_SOMETHING_ELSE_ENTIRELY"), None);
    }

    #[test]
    fn distance_counts_single_changes() {
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("a", "a")), (3, 3, 0));
    }
}
