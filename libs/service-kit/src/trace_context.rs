//! `traceparent` of W3C Trace Context: the client's if it is valid, else a new one. The same string
//! is on the event, on the analytic events and in the request's log line.

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{HeaderMap, HeaderName},
};
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// A request's place in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// The request's own value if it has exactly one that is valid, else a new one.
    pub fn from_headers_or_new(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(HEADER);
        let only = given.next().filter(|_| given.next().is_none());
        match only.and_then(|value| value.to_str().ok()).filter(|value| is_valid(value)) {
            Some(value) => Self(value.to_owned()),
            None => Self::make(),
        }
    }

    /// The value of a request that passed the server's middleware.
    pub fn of(request: &HttpRequest) -> Self {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self::from_headers_or_new(request.headers()))
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A new trace. Its flags are 00: this service records no spans.
    fn make() -> Self {
        // Version 4 sets bits in both halves, so neither id is all zeros.
        let trace = Uuid::new_v4().simple();
        let (_, span) = Uuid::new_v4().as_u64_pair();
        Self(format!("00-{trace}-{span:016x}-00"))
    }
}

/// Exactly the four parts of version 00.
fn is_valid(value: &str) -> bool {
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
    use actix_web::http::header::HeaderValue;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn taken(values: &[&str]) -> TraceParent {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_str(value).unwrap());
        }
        TraceParent::from_headers_or_new(&headers)
    }

    #[test]
    fn a_valid_one_is_taken() {
        assert_eq!(taken(&[GOOD]).as_str(), GOOD);
    }

    #[test]
    fn any_other_is_replaced_by_a_valid_one() {
        let upper = GOOD.to_uppercase();
        let longer = format!("{GOOD}-x");
        let bad = [
            "",
            "00",
            &GOOD[..54],
            &upper,
            &longer,
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ];
        for values in bad.map(|value| vec![value]).into_iter().chain([vec![], vec![GOOD, GOOD]]) {
            let made = taken(&values);
            assert!(!values.contains(&made.as_str()), "{values:?}");
            assert!(is_valid(made.as_str()), "{}", made.as_str());
        }
        assert_ne!(taken(&[]), taken(&[]));
    }
}
