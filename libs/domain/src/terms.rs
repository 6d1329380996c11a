//! The terms of a user: keyed hashes of what search can ask for. They find candidates; whether a
//! user matches is decided on the user's row.
//!
//! Every scalar in the claims gives a term, from its path and its value, and so does each part of
//! the link. Objects and arrays give none themselves, so criteria such as `{"address": {}}` have no
//! terms. If claims contain criteria, as PostgreSQL's `@>` has it, they have every term of them:
//! `@>` follows the same keys, goes into an array only where the criteria have one, and compares
//! scalars by type and value. The reverse does not hold: terms don't tell which elements of an array
//! belong together.

mod number;
#[cfg(test)]
mod tests;

use crate::codec::{KeyedHash, Secret};
use events_schema::{TenantId, personal::Claims};
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most terms of a user. One with more has a single term instead, [`TermKey::oversized`], and is a
/// candidate of every search.
pub const MAX_TERMS: usize = 1_000;

/// The key of a tenant's terms. It makes collisions impossible to plan, and hashes of short values
/// impossible to guess without it.
pub struct TermKey(KeyedHash);

/// The parts of a link that are known. A user's link and criteria both fit.
#[derive(Default, Clone, Copy)]
pub struct LinkParts<'a> {
    /// The identity provider's id.
    pub provider_id: Option<Uuid>,
    /// The identity provider's URL.
    pub url: Option<&'a str>,
    /// The user's identifier at the provider.
    pub subject_id: Option<&'a str>,
}

impl TermKey {
    /// The key of a tenant, derived from the deployment's secret.
    #[must_use]
    pub fn new(secret: &Secret, tenant: &TenantId) -> Self {
        Self(Secret::from(secret.digest(tenant.as_str().as_bytes())).keyed_hash())
    }

    /// The terms that a user is stored under.
    #[must_use]
    pub fn of_user(&self, claims: &Claims, link: LinkParts<'_>) -> BTreeSet<i64> {
        let terms = self.terms(claims, link);
        if terms.len() > MAX_TERMS { BTreeSet::from([self.oversized()]) } else { terms }
    }

    /// The terms of criteria: a user that matches has all of them, or is oversized.
    #[must_use]
    pub fn of_criteria(&self, claims: &Claims, link: LinkParts<'_>) -> BTreeSet<i64> {
        self.terms(claims, link)
    }

    /// The term of users with too many terms.
    #[must_use]
    pub fn oversized(&self) -> i64 {
        self.hash(b"o")
    }

    fn terms(&self, claims: &Claims, link: LinkParts<'_>) -> BTreeSet<i64> {
        let mut collector = Collector { key: self, path: vec![b'c'], terms: BTreeSet::new() };
        collector.members(claims);
        let provider_id = link.provider_id.map(|id| id.to_string());
        let parts = [(b'p', provider_id.as_deref()), (b'u', link.url), (b's', link.subject_id)];
        let parts = parts.into_iter().filter_map(|(kind, text)| Some((kind, text?)));
        collector.terms.extend(parts.map(|(kind, text)| self.hash(&[&[kind], text.as_bytes()].concat())));
        collector.terms
    }

    fn hash(&self, text: &[u8]) -> i64 {
        self.0.digest(text).first_chunk().copied().map_or(0, i64::from_be_bytes)
    }
}

/// Walks claims. The path is unambiguous: a key is preceded by its length.
struct Collector<'k> {
    key: &'k TermKey,
    path: Vec<u8>,
    terms: BTreeSet<i64>,
}

impl Collector<'_> {
    fn members(&mut self, members: &Claims) {
        for (key, value) in members {
            let above = self.path.len();
            self.path.push(b'k');
            self.path.extend(key.len().to_be_bytes());
            self.path.extend(key.as_bytes());
            self.value(value);
            self.path.truncate(above);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(members) => self.members(members),
            Value::Array(items) => self.items(items),
            Value::Null => self.scalar(b'0', ""),
            Value::Bool(false) => self.scalar(b'f', ""),
            Value::Bool(true) => self.scalar(b't', ""),
            Value::Number(number) => self.scalar(b'n', &number::canonical(&number.to_string())),
            Value::String(text) => self.scalar(b's', text),
        }
    }

    fn items(&mut self, items: &[Value]) {
        self.path.push(b'a');
        items.iter().for_each(|item| self.value(item));
        self.path.pop();
    }

    fn scalar(&mut self, kind: u8, text: &str) {
        let above = self.path.len();
        self.path.push(kind);
        self.path.extend(text.as_bytes());
        self.terms.insert(self.key.hash(&self.path));
        self.path.truncate(above);
    }
}
