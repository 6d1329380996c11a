//! Reads a JSON request body up to a limit of size, by its declared length at once, otherwise while
//! reading, and up to a limit of time.

use crate::problem::{Code, Location, Problem};
use actix_web::{
    HttpRequest,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap},
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;
use std::time::Duration;

/// How long a body may take. Without a limit, a client that sends it byte by byte keeps a buffer
/// forever. The limit is generous: it leaves a slow line a minute for at most 1 MiB.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Reads the body. 413 if it is longer than `limit`, 415 if it is not declared as plain JSON, and
/// 400 if it does not arrive in time. The server closes a connection whose body was not read to its
/// end.
pub(super) async fn read(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let headers = request.headers();
    let declared = declared_length(headers);
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    check_encoding(headers)?;
    check_type(headers)?;
    let body = collect(payload, limit, declared.map_or(0, |length| length as usize));
    within(TIMEOUT, body).await
}

async fn within(
    timeout: Duration,
    body: impl Future<Output = Result<Bytes, Problem>>,
) -> Result<Bytes, Problem> {
    let late = |_| {
        let seconds = TIMEOUT.as_secs();
        unreadable(format!("The body did not arrive within {seconds} seconds: send the request again"))
    };
    tokio::time::timeout(timeout, body).await.map_err(late)?
}

fn unreadable(message: impl Into<String>) -> Problem {
    Problem::invalid(None, message, "", Location::Body)
}

async fn collect(mut payload: Payload, limit: usize, expected: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::with_capacity(expected);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| unreadable("The body can't be read to its end"))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("The request body is larger than {limit} bytes"))
}

fn unsupported(message: &str) -> Problem {
    Problem::new(Code::UnsupportedMediaType, message)
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_identity = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"identity");
    match headers.get_all(CONTENT_ENCODING).all(|value| is_identity(value.as_bytes())) {
        true => Ok(()),
        false => {
            Err(unsupported("Send the body without a Content-Encoding").header("Accept-Encoding", "identity"))
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(CONTENT_TYPE);
    let value = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    match values.next().is_none() && is_json(value) {
        true => Ok(()),
        false => Err(unsupported("Send the body as application/json in UTF-8")),
    }
}

/// `application/json` with any parameters, as long as a charset is UTF-8.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json")) && parts.all(is_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{health::Health, server};
    use actix_web::{HttpResponse, web};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    /// Has no patience at all: reads what is there.
    async fn read_at_once(payload: Payload) -> HttpResponse {
        match within(Duration::ZERO, collect(payload, 64, 0)).await {
            Ok(body) => HttpResponse::Ok().body(body),
            Err(problem) => problem.response(),
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_refused_and_its_connection_closed() {
        let listener = server::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let routes = |config: &mut web::ServiceConfig| {
            config.route("/", web::post().to(read_at_once));
        };
        tokio::spawn(server::serve(listener, Health::default(), &[], routes, std::future::pending()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let answer = answer.to_lowercase();
        assert!(answer.starts_with("http/1.1 400 "), "{answer}");
        for part in ["connection: close", "\"badrequest\"", "within 60 seconds: send the request again"] {
            assert!(answer.contains(part), "{answer}");
        }
    }

    #[test]
    fn json_by_any_of_its_spellings() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; v=1",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "application/jsonp",
            "application/json; charset=latin1",
            "application/problem+json",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
