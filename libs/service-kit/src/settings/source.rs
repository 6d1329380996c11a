//! Where values come from: a variable, a file that `<NAME>_FILE` names, or the default.

use super::{
    SettingsError,
    names::{self, KAFKA_PREFIX},
    parse::Form,
};
use std::collections::BTreeMap;

/// The variables that are ours, all of them known.
pub(super) struct Source {
    given: BTreeMap<String, String>,
}

impl Source {
    /// Picks our variables from an environment.
    pub(super) fn new(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let given: BTreeMap<_, _> = vars.into_iter().filter(|(name, _)| is_ours(name)).collect();
        match given.keys().find(|name| !is_known(name)) {
            Some(unknown) => Err(unknown_name(unknown)),
            None => Ok(Self { given }),
        }
    }

    /// The value as given, if it was. An empty value is refused.
    pub(super) fn given(&self, name: &str) -> Result<Option<String>, SettingsError> {
        let plain = self.given.get(name).cloned();
        let file = format!("{name}_FILE");
        let value = match (plain, self.given.get(&file)) {
            (Some(_), Some(_)) if is_secret(name) => {
                return Err(SettingsError::new(name, format!("give it or {file}, not both")));
            }
            (None, Some(path)) if is_secret(name) => Some(read_secret(&file, path)?),
            (plain, _) => plain,
        };
        match value {
            Some(value) if value.is_empty() && name != "ROLLCALL_TOPIC_PREFIX" => Err(empty(name)),
            value => Ok(value),
        }
    }

    /// The file that a secret was read from, if it was given that way.
    pub(super) fn file_of(&self, name: &str) -> Option<&str> {
        self.given.get(&format!("{name}_FILE")).map(String::as_str)
    }

    /// The value or its default.
    pub(super) fn parsed<T>(&self, name: &str, form: Form<T>) -> Result<T, SettingsError> {
        let default = names::find(name).map_or("", |setting| setting.default);
        form.read(name, self.given(name)?.as_deref().unwrap_or(default))
    }

    /// The value of a variable that may be unset.
    pub(super) fn optional<T>(&self, name: &str, form: Form<T>) -> Result<Option<T>, SettingsError> {
        self.given(name)?.map(|value| form.read(name, &value)).transpose()
    }

    /// librdkafka's own settings: the full variable name, the part after the prefix, and the value.
    pub(super) fn kafka(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.given
            .iter()
            .filter_map(|(name, value)| Some((&**name, name.strip_prefix(KAFKA_PREFIX)?, &**value)))
    }
}

/// The content of a file, without the line end that editors append.
pub(super) fn read_secret(name: &str, path: &str) -> Result<String, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| SettingsError::new(name, format!("the file can't be read: {}", error.kind())))?;
    if text.starts_with('\u{feff}') {
        return Err(SettingsError::new(
            name,
            "the file begins with a byte order mark: save it as UTF-8 without one",
        ));
    }
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() { Err(SettingsError::new(name, "the file is empty")) } else { Ok(value.to_owned()) }
}

/// Whether a variable of that name belongs to us.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("ROLLCALL_") || is_known(name)
}

fn is_known(name: &str) -> bool {
    let is_kafka = name.strip_prefix(KAFKA_PREFIX).is_some_and(|key| !key.is_empty());
    is_kafka || names::find(name).is_some() || name.strip_suffix("_FILE").is_some_and(is_secret)
}

fn is_secret(name: &str) -> bool {
    names::find(name).is_some_and(|setting| setting.is_secret)
}

fn empty(name: &str) -> SettingsError {
    SettingsError::new(name, "must not be empty; unset it to get the default")
}

fn unknown_name(name: &str) -> SettingsError {
    let hint = names::nearest(name).map_or(String::new(), |near| format!("; did you mean {near}?"));
    SettingsError::new(name, format!("there is no such setting{hint}"))
}
