//! Extracts the bearer token of a request (RFC 6750), from the `Authorization` header only.

use super::refusal::Refusal;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};

/// The longest accepted token.
const MAX_LEN: usize = 8 * 1024;

/// The single bearer token in these headers.
pub(super) fn token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Repeated);
    }
    let value = value.to_str().map_err(|_| Refusal::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::Missing)?;
    match token.trim() {
        _ if !scheme.eq_ignore_ascii_case("bearer") => Err(Refusal::Missing),
        "" => Err(Refusal::Missing),
        token if token.len() > MAX_LEN => Err(Refusal::TooLong),
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn of(values: &[&[u8]]) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        token(&headers).map(str::to_owned)
    }

    #[test]
    fn the_scheme_is_taken_in_any_case() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(of(&[format!("{scheme} a.b.c").as_bytes()]), Ok("a.b.c".to_owned()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(of(&[]), Err(Refusal::Missing));
        assert_eq!(of(&[b"Bearer"]), Err(Refusal::Missing));
        assert_eq!(of(&[b"Bearer "]), Err(Refusal::Missing));
        assert_eq!(of(&[b"Basic YTpi"]), Err(Refusal::Missing));
        assert_eq!(of(&[b"Bearer \xff\xfe"]), Err(Refusal::Malformed));
        assert_eq!(of(&[b"Bearer a.b.c", b"Bearer a.b.c"]), Err(Refusal::Repeated));
        assert_eq!(of(&[format!("Bearer {}", "x".repeat(8193)).as_bytes()]), Err(Refusal::TooLong));
    }
}
