//! The body of a search. It is read strictly: a misspelt field must not match every user.

mod claim_keys;
#[cfg(test)]
mod tests;

use crate::analytic_data;
use read_model::read::search::Criteria;
use serde_json::{Map, Value};
use service_kit::{
    analytics::Data,
    cursor::Cursor,
    json::{self, MAX_BODY_LEVELS},
    path,
    problem::{Location, MAX_DETAILS, Problem},
    query::{DEFAULT_LIMIT, MAX_LIMIT, PageRequest},
    validation::ValidationErrors,
};
use uuid::Uuid;

/// The largest body, in bytes.
pub(crate) const BODY_LIMIT: usize = 256 * 1024;

const LINK: &str = "authenticationProvider";

/// A valid search.
pub(crate) struct SearchRequest {
    pub(crate) criteria: Criteria,
    pub(crate) page: PageRequest,
}

/// Reads a body. Returns the search, and the data of START: the valid parts, with the criteria
/// themselves if `is_full`.
pub(crate) fn read(
    body: &[u8],
    is_full: bool,
    errors: &mut ValidationErrors,
) -> (Option<SearchRequest>, Data) {
    let mut start = Data::default();
    let Some(body) = errors.check(parse(body)) else { return (None, start) };
    reject_unknown(&["claims", LINK, "limit", "cursor"], &body, "", errors);
    let limit = errors.check(limit(body.get("limit")));
    let after = errors.check(cursor(body.get("cursor")));
    let claims = errors.check(claims(body.get("claims")));
    let link = errors.check(object(body.get(LINK), LINK));
    analytic_data::add_page_request(&mut start, limit, after.flatten());
    if let Some(claims) = claims.flatten() {
        start.non_sensitive.extend(claim_keys::of(claims).map(|keys| ("claimKeys".to_owned(), keys)));
    }
    let linked = link_criteria(link.flatten(), errors);
    if is_full {
        let link = body.get(LINK).filter(|_| linked.is_some()).cloned();
        start.full =
            analytic_data::present([("claims", claims.flatten().cloned().map(Value::Object)), (LINK, link)]);
    }
    let criteria = linked
        .zip(claims)
        .map(|(linked, claims)| Criteria { claims: claims.cloned().unwrap_or_default(), ..linked });
    let page = limit.zip(after).map(|(limit, after)| PageRequest { limit, after });
    (criteria.zip(page).map(|(criteria, page)| SearchRequest { criteria, page }), start)
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    match json::parse(body, MAX_BODY_LEVELS).map_err(Problem::from)? {
        Value::Object(members) => Ok(members),
        _ => Err(invalid("body", "Must be an object")),
    }
}

fn claims(claims: Option<&Value>) -> Result<Option<&Map<String, Value>>, Problem> {
    if let Some(claims) = claims {
        json::check_claims_limits(claims, "claims").map_err(Problem::from)?;
    }
    object(claims, "claims")
}

fn link_criteria(link: Option<&Map<String, Value>>, errors: &mut ValidationErrors) -> Option<Criteria> {
    let Some(link) = link else { return Some(Criteria::default()) };
    reject_unknown(&["providerId", "url", "subjectId"], link, "authenticationProvider.", errors);
    let provider_id = errors.check(uuid(link.get("providerId"), "authenticationProvider.providerId"));
    let mut text = |name: &str| errors.check(string(link.get(name), &format!("{LINK}.{name}")));
    let (provider_url, subject_id) = (text("url"), text("subjectId"));
    Some(Criteria {
        claims: Map::new(),
        provider_id: provider_id?,
        provider_url: provider_url?,
        subject_id: subject_id?,
    })
}

fn uuid(value: Option<&Value>, param: &str) -> Result<Option<Uuid>, Problem> {
    let uuid = |text: String| path::uuid(&text).ok_or_else(|| invalid(param, "Must be a uuid"));
    string(value, param)?.map(uuid).transpose()
}

const LIMIT: &str = "Must be an integer from 1 to 1000";

fn limit(limit: Option<&Value>) -> Result<u32, Problem> {
    let Some(value) = limit else { return Ok(DEFAULT_LIMIT) };
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MAX_LIMIT).contains(n));
    number.ok_or_else(|| Problem::invalid(echo(value).as_deref(), LIMIT, "limit", Location::Body))
}

/// The value as it was sent, if it is a scalar.
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
        Some(_) => Err(invalid(param, "Must be a string")),
    }
}

fn object<'v>(value: Option<&'v Value>, param: &str) -> Result<Option<&'v Map<String, Value>>, Problem> {
    match value {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(invalid(param, "Must be an object")),
    }
}

/// Reports every unknown field by name.
fn reject_unknown(known: &[&str], members: &Map<String, Value>, root: &str, errors: &mut ValidationErrors) {
    for name in members.keys().filter(|name| !known.contains(&name.as_str())).take(MAX_DETAILS) {
        let name: String = name.chars().take(256).collect();
        errors.add(invalid(&format!("{root}{name}"), "Unknown field"));
    }
}

/// 400 for a place in the body. The value is left out: it may be personal.
fn invalid(param: &str, msg: &'static str) -> Problem {
    Problem::invalid(None, msg, param, Location::Body)
}
