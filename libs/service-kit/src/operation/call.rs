//! The request as an operation sees it.

use crate::{
    analytics::{Recorder, RequestContext},
    auth::Principal,
    request_id::RequestId,
    trace_context::TraceParent,
};
use actix_web::HttpRequest;
use events_schema::analytics::Operation;
use std::sync::Arc;

/// The request as an operation sees it.
#[derive(Clone)]
pub struct Call {
    /// Tenant, client, request id, trace.
    pub context: Arc<RequestContext>,
    /// For recording an end after the response.
    pub recorder: Recorder,
    /// The operation, for the same purpose.
    pub operation: Operation,
}

impl Call {
    pub(super) fn new(
        request: &HttpRequest,
        principal: &Principal,
        recorder: Recorder,
        operation: Operation,
    ) -> Self {
        let context = RequestContext {
            request_id: RequestId::of(request).as_str().to_owned(),
            request_ip: request.peer_addr().map(|peer| peer.ip().to_canonical().to_string()),
            tenant: principal.tenant.clone(),
            client_id: principal.client_id.clone(),
            traceparent: TraceParent::of(request).as_str().to_owned(),
        };
        Self { context: Arc::new(context), recorder, operation }
    }
}
