//! Collects the findings of an audit.

use super::{super::findings::Kind, report::AuditFinding};
use events_schema::UserKey;
use std::{collections::BTreeMap, fmt};

/// How many findings are listed. All are counted.
const MAX_LISTED: usize = 1_000;

#[derive(Default)]
pub(super) struct Found {
    pub(super) counts: BTreeMap<Kind, u64>,
    pub(super) listed: Vec<AuditFinding>,
    pub(super) discarded: u64,
}

impl Found {
    pub(super) fn add(&mut self, kind: Kind, user: &UserKey, place: impl fmt::Display) {
        *self.counts.entry(kind).or_default() += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(AuditFinding {
                kind,
                tenant_id: user.tenant.clone(),
                user_id: user.user,
                place: place.to_string(),
            });
        }
    }
}
