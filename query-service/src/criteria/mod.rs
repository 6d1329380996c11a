//! What a search asks for: the body, read strictly, since a typo must not match everyone.

mod pointers;
#[cfg(test)]
mod tests;

use crate::{events, refusals::Refusals};
use serde_json::{Map, Value};
use service_kit::{
    analytics::Data,
    cursor::Cursor,
    json, path,
    problem::{Location, Problem},
    query::{DEFAULT_LIMIT, MAX_LIMIT, PageRequest},
};
use uuid::Uuid;

/// The largest body, in bytes.
pub(crate) const BODY_LIMIT: usize = 256 * 1024;
/// The body is the first level, its claims begin the second.
const DEPTH: usize = 33;

const LINK: &str = "authenticationProvider";

/// The criteria; all that are given must be met, and none given is met by every user.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Criteria {
    /// JSON text of what the claims contain.
    pub(crate) claims: Option<String>,
    /// The identity provider's id.
    pub(crate) provider_id: Option<Uuid>,
    /// The identity provider's URL.
    pub(crate) provider_url: Option<String>,
    /// The user's identifier there.
    pub(crate) subject_id: Option<String>,
}

/// A search as its body asks for it.
pub(crate) struct Search {
    pub(crate) criteria: Criteria,
    pub(crate) page: PageRequest,
}

/// Reads a body. Beside the search, START's data: what did validate, with the criteria themselves if `is_full`.
pub(crate) fn read(body: &[u8], is_full: bool, refusals: &mut Refusals) -> (Option<Search>, Data) {
    let mut start = Data::default();
    let Some(body) = refusals.sift(parse(body)) else { return (None, start) };
    only(&["claims", LINK, "limit", "cursor"], &body, "", refusals);
    let limit = refusals.sift(limit(body.get("limit")));
    let after = refusals.sift(cursor(body.get("cursor")));
    let claims = refusals.sift(claims(body.get("claims")));
    let link = refusals.sift(object(body.get(LINK), LINK));
    events::page(&mut start, limit, after.flatten());
    if let Some(claims) = claims.flatten() {
        start.non_sensitive.extend(pointers::of(claims).map(|keys| ("claimKeys".to_owned(), keys)));
    }
    let linked = linked(link.flatten(), refusals);
    if is_full {
        let link = body.get(LINK).filter(|_| linked.is_some()).cloned();
        start.full = events::given([("claims", claims.flatten().cloned().map(Value::Object)), (LINK, link)]);
    }
    let criteria =
        linked.zip(claims).map(|(linked, claims)| Criteria { claims: claims.and_then(text), ..linked });
    let page = limit.zip(after).map(|(limit, after)| PageRequest { limit, after });
    (criteria.zip(page).map(|(criteria, page)| Search { criteria, page }), start)
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    match json::parse(body, DEPTH).map_err(Problem::from)? {
        Value::Object(members) => Ok(members),
        _ => Err(invalid("body", "Not an object")),
    }
}

/// The claims as text; none are no criterion.
fn text(claims: &Map<String, Value>) -> Option<String> {
    (!claims.is_empty()).then(|| serde_json::to_string(claims).ok()).flatten()
}

fn claims(claims: Option<&Value>) -> Result<Option<&Map<String, Value>>, Problem> {
    if let Some(claims) = claims {
        json::check_claims_limits(claims, "claims").map_err(Problem::from)?;
    }
    object(claims, "claims")
}

fn linked(link: Option<&Map<String, Value>>, refusals: &mut Refusals) -> Option<Criteria> {
    let Some(link) = link else { return Some(Criteria::default()) };
    only(&["providerId", "url", "subjectId"], link, "authenticationProvider.", refusals);
    let mut part = |name: &str| refusals.sift(string(link.get(name), &format!("{LINK}.{name}")));
    let (provider_id, provider_url, subject_id) = (part("providerId")?, part("url")?, part("subjectId")?);
    let provider_id = provider_id.map(|id| uuid(&id, "authenticationProvider.providerId")).transpose();
    Some(Criteria { claims: None, provider_id: refusals.sift(provider_id)?, provider_url, subject_id })
}

fn uuid(text: &str, param: &str) -> Result<Uuid, Problem> {
    path::uuid(text).ok_or_else(|| invalid(param, "Not a uuid"))
}

fn limit(limit: Option<&Value>) -> Result<u32, Problem> {
    let Some(value) = limit else { return Ok(DEFAULT_LIMIT) };
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MAX_LIMIT).contains(n));
    number.ok_or_else(|| Problem::invalid(echo(value).as_deref(), "Invalid value", "limit", Location::Body))
}

/// The value as it was sent, where it is a single one.
fn echo(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
        plain => Some(plain.to_string()),
    }
}

fn cursor(cursor: Option<&Value>) -> Result<Option<Cursor>, Problem> {
    string(cursor, "cursor")?.map(|text| Cursor::decode(&text, Location::Body)).transpose()
}

fn string(value: Option<&Value>, param: &str) -> Result<Option<String>, Problem> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(param, "Not a string")),
    }
}

fn object<'v>(value: Option<&'v Value>, param: &str) -> Result<Option<&'v Map<String, Value>>, Problem> {
    match value {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(invalid(param, "Not an object")),
    }
}

/// Refuses every field that is not known, by its name.
fn only(known: &[&str], members: &Map<String, Value>, root: &str, refusals: &mut Refusals) {
    for name in members.keys().filter(|name| !known.contains(&name.as_str())).take(10) {
        let name: String = name.chars().take(256).collect();
        refusals.add(invalid(&format!("{root}{name}"), "Unknown field"));
    }
}

/// 400 about a place in the body. The value stays out of it: it may be somebody's.
fn invalid(param: &str, msg: &'static str) -> Problem {
    Problem::invalid(None, msg, param, Location::Body)
}
