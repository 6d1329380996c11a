//! Keyset cursors: unpadded base64url of `createdAt=<RFC 3339>&id=<uuid>`, naming the last item of
//! a page.

use crate::problem::{Location, Problem};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use events_schema::millis;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// Written without padding; padding is tolerated on input.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The last item of the previous page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its creation time, as precise as the cursor gave it.
    pub created_at: OffsetDateTime,
    /// Its id.
    pub id: Uuid,
}

impl Cursor {
    /// The text for `nextCursor`.
    pub fn encode(&self) -> String {
        BASE64.encode(format!("createdAt={}&id={}", millis(self.created_at), self.id))
    }

    /// Parses a cursor. The problem has the documented detail for `param` `cursor` at `location`.
    ///
    /// # Errors
    /// 400: undecodable, or a part is missing.
    pub fn decode(text: &str, location: Location) -> Result<Self, Problem> {
        let refuse = |msg: &str| Problem::invalid(Some(text), msg, "cursor", location);
        let bytes = BASE64.decode(text).map_err(|_| refuse("Invalid value"))?;
        let decoded = std::str::from_utf8(&bytes).map_err(|_| refuse("Invalid value"))?;
        let (created_at, id) = (part(decoded, "createdAt"), part(decoded, "id"));
        match (created_at, id) {
            (Some(at), Some(id)) => read(&at, &id).ok_or_else(|| refuse("Invalid value")),
            // The documented text, whichever part is missing.
            _ => Err(refuse("id and createdAt is missing")),
        }
    }
}

fn part(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, value)| key == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

fn read(created_at: &str, id: &str) -> Option<Cursor> {
    // In a query string, a plain `+` in an offset (`+02:00`) decodes to a space.
    let created_at = OffsetDateTime::parse(&created_at.replace(' ', "+"), &Rfc3339).ok()?;
    // Near the end of the year 9999 an offset can lead past what can be formatted. UTC avoids that.
    let created_at = created_at.checked_to_offset(UtcOffset::UTC)?;
    Some(Cursor { created_at, id: lowest_uuid(id)? })
}

/// The lowest UUID that starts with `prefix`. The API's own sample has `id=a`.
fn lowest_uuid(prefix: &str) -> Option<Uuid> {
    const LOWEST: &str = "00000000-0000-0000-0000-000000000000";
    let rest = LOWEST.get(prefix.len()..).filter(|_| prefix.is_ascii())?;
    // Hyphens only where a UUID has them.
    let fits = prefix.bytes().zip(LOWEST.bytes()).all(|(c, lowest)| (c == b'-') == (lowest == b'-'));
    Uuid::try_parse(&format!("{prefix}{rest}")).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(query: &str) -> Result<Cursor, String> {
        Cursor::decode(&BASE64.encode(query), Location::Query)
            .map_err(|problem| problem.details[0].msg.clone())
    }

    #[test]
    fn reads_the_samples_of_the_page() {
        let short =
            Cursor::decode("Y3JlYXRlZEF0PTIwMjAtMDgtMjVUMDY6NDY6MDkuNTEwWiZpZD1h", Location::Query).unwrap();
        assert_eq!(short.id.to_string(), "a0000000-0000-0000-0000-000000000000");
        let long = "Y3JlYXRlZEF0PTIwMjAtMDgtMjVUMDY6NDY6MDkuNTEwWiZpZD1hNjZmZmVhNS04NDhlLTQzOWQtODBhNC1kZGE1NWY1M2UzNmM";
        assert_eq!(Cursor::decode(long, Location::Query).unwrap().encode(), long);
    }

    #[test]
    fn tolerates_what_is_harmless() {
        let plain = decode("createdAt=2020-08-25T06:46:09.510Z&id=a66ffea5-848e-439d-80a4-dda55f53e36c");
        for same in [
            "createdAt=2020-08-25T06%3A46%3A09.510Z&id=a66ffea5-848e-439d-80a4-dda55f53e36c",
            "createdAt=2020-08-25T08:46:09.510%2B02:00&id=A66FFEA5-848E-439D-80A4-DDA55F53E36C",
            "x=1&id=a66ffea5-848e-439d-80a4-dda55f53e36c&createdAt=2020-08-25T06:46:09.510Z&y",
        ] {
            assert_eq!(decode(same), plain, "{same}");
        }
        let padded =
            base64::engine::general_purpose::URL_SAFE.encode("createdAt=2020-08-25T06:46:09.510Z&id=ab");
        assert!(padded.ends_with('=') && Cursor::decode(&padded, Location::Body).is_ok());
    }

    #[test]
    fn says_what_is_missing() {
        for bad in ["foo=bar", "createdAt=2020-08-25T06:46:09.510Z", "id=a", "id=&createdAt="] {
            assert_eq!(decode(bad).unwrap_err(), "id and createdAt is missing", "{bad}");
        }
        for bad in [
            "createdAt=today&id=a",
            "createdAt=2020-08-25T06:46:09.510Z&id=g",
            "createdAt=2020-08-25T06:46:09.510Z&id=0-",
            "createdAt=9999-12-31T23:59:59-23:59&id=a",
        ] {
            assert_eq!(decode(bad).unwrap_err(), "Invalid value", "{bad}");
        }
        for bad in ["", "!", "ä", "YQ=="] {
            assert!(Cursor::decode(bad, Location::Query).is_err());
        }
    }
}
