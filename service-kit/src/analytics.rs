//! The way of analytic events to the log: a bounded queue that never makes a request wait.
// STUB: helper S2.

use crate::settings::Settings;
use events_schema::{TenantId, analytics::{Operation, Phase}};
use serde_json::{Map, Value};

/// What an event says: `non_sensitive` from level 2, `full` too at level 3.
#[derive(Default, Clone)]
pub struct Data {
    /// Level 2.
    pub non_sensitive: Map<String, Value>,
    /// What level 3 adds.
    pub full: Map<String, Value>,
}

/// Whose request an event is about.
#[derive(Clone)]
pub struct Context {
    /// `requestId`
    pub request_id: String,
    /// `requestIp`
    pub request_ip: Option<String>,
    /// `tenantId`
    pub tenant: TenantId,
    /// `clientId`
    pub client_id: Option<String>,
}

/// Hands events to the producer. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {}

impl Recorder {
    /// Starts the producer and its queue.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn start(_settings: &Settings) -> anyhow::Result<Self> {
        unimplemented!()
    }

    /// Whether level 3 is on, so that a caller need not gather `full` otherwise.
    pub fn is_full(&self) -> bool {
        unimplemented!()
    }

    /// Puts an event into the queue; a full queue drops it, counts it (`rollcall_analytics_dropped_total`) and warns once a while.
    pub fn record(&self, _context: &Context, _operation: Operation, _phase: Phase, _data: Data) {
        unimplemented!()
    }

    /// Waits (bounded) until what was queued has been delivered.
    pub async fn flush(&self, _within: std::time::Duration) {
        unimplemented!()
    }
}
