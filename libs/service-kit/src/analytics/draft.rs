//! Events as requests queue them. They get their final form off the request's path.

use events_schema::{
    TenantId,
    analytics::{AnalyticEvent, CATEGORY, Level, Operation, Phase, VERSION},
    millis,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// The data of an event: `non_sensitive` from level 2, plus `full` at level 3.
#[derive(Default, Clone)]
pub struct Data {
    /// Sent from level 2.
    pub non_sensitive: Map<String, Value>,
    /// Added at level 3.
    pub full: Map<String, Value>,
}

impl Data {
    /// The data of a FAIL: this data plus the error, in fixed words.
    #[must_use]
    pub fn failed(mut self, error_type: &str, message: &str) -> Self {
        let error = json!({ "type": error_type, "message": message });
        self.non_sensitive.insert("error".to_owned(), error);
        self
    }

    /// The data that may be sent at `level`. `None` if there is none.
    pub(super) fn at(mut self, level: Level) -> Option<Map<String, Value>> {
        match level {
            Level::Metadata => return None,
            Level::NonSensitive => {}
            Level::Full => self.non_sensitive.extend(self.full),
        }
        (!self.non_sensitive.is_empty()).then_some(self.non_sensitive)
    }
}

/// The request that an event belongs to.
#[derive(Clone)]
pub struct RequestContext {
    /// `requestId`
    pub request_id: String,
    /// `requestIp`
    pub request_ip: Option<String>,
    /// `tenantId`
    pub tenant: TenantId,
    /// `clientId`
    pub client_id: Option<String>,
    /// The `traceparent` header.
    pub traceparent: String,
}

/// An event in the queue.
pub(super) struct Draft {
    pub(super) context: Arc<RequestContext>,
    pub(super) operation: Operation,
    pub(super) phase: Phase,
    pub(super) at: OffsetDateTime,
    pub(super) data: Option<Map<String, Value>>,
}

impl From<Draft> for AnalyticEvent {
    fn from(draft: Draft) -> Self {
        // The last event of a request need not copy.
        let context = Arc::unwrap_or_clone(draft.context);
        Self {
            id: Uuid::now_v7(),
            event_type: draft.operation.analytic_type(draft.phase).into(),
            category: CATEGORY.into(),
            request_id: context.request_id,
            request_ip: context.request_ip,
            tenant_id: context.tenant,
            client_id: context.client_id,
            timestamp: millis(draft.at),
            version: VERSION.into(),
            data: draft.data,
            traceparent: Some(context.traceparent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_level_says_what_it_may() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let data =
            Data { non_sensitive: object(json!({"limit": 1})), full: object(json!({"claims": {"a": "b"}})) };
        assert_eq!(data.clone().at(Level::Metadata), None);
        assert_eq!(data.clone().at(Level::NonSensitive), Some(object(json!({"limit": 1}))));
        assert_eq!(data.at(Level::Full), Some(object(json!({"limit": 1, "claims": {"a": "b"}}))));
        assert_eq!(Data::default().at(Level::Full), None);
    }
}
