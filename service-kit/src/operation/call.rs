//! The request as an operation sees it.

use crate::{
    analytics::{Context, Recorder},
    auth::Principal,
    request_id::RequestId,
};
use actix_web::HttpRequest;
use events_schema::analytics::Operation;

/// The request as an operation sees it.
#[derive(Clone)]
pub struct Call {
    /// Tenant, client, request id.
    pub context: Context,
    /// `traceparent`, if it is well-formed.
    pub traceparent: Option<String>,
    /// For ends that come later than the answer.
    pub recorder: Recorder,
    /// What the operation is, for the same.
    pub operation: Operation,
}

impl Call {
    pub(super) fn new(
        request: &HttpRequest,
        principal: &Principal,
        recorder: Recorder,
        operation: Operation,
    ) -> Self {
        let context = Context {
            request_id: RequestId::of(request).as_str().to_owned(),
            request_ip: request.peer_addr().map(|peer| peer.ip().to_canonical().to_string()),
            tenant: principal.tenant.clone(),
            client_id: principal.client_id.clone(),
        };
        Self { context, traceparent: traceparent(request), recorder, operation }
    }
}

/// The one `traceparent` of a request, if it has the form of W3C Trace Context.
fn traceparent(request: &HttpRequest) -> Option<String> {
    let mut values = request.headers().get_all("traceparent");
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_traceparent(value)).then(|| value.to_owned())
}

fn is_traceparent(value: &str) -> bool {
    let is_hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|c| c == b'0');
    let parts: Vec<&str> = value.splitn(5, '-').collect();
    let [version, trace, parent, flags] = parts[..] else { return false };
    is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(parent, 16)
        && !is_zero(parent)
        && is_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_has_one_form() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(good));
        let upper = good.to_uppercase();
        let longer = format!("{good}-x");
        let bad = [
            "",
            "00",
            &good[..54],
            &upper,
            &longer,
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ];
        for value in bad {
            assert!(!is_traceparent(value), "{value}");
        }
    }
}
