//! What `data` of each analytic type contains. The services put it together member by member; here
//! it is described for consumers.

use super::{Operation, Phase};
use serde_json::{Map, Value, json};

/// A member of `data`.
struct Member {
    name: &'static str,
    schema: Value,
    /// Whether it is there from level 2 in every event of the type.
    is_required: bool,
}

/// The schema of `data`.
pub(super) fn schema(operation: Operation, phase: Phase) -> Value {
    let members = match phase {
        Phase::Start => start(operation),
        Phase::Success => success(operation),
        Phase::Fail => fail(operation),
    };
    let required: Vec<_> =
        members.iter().filter(|member| member.is_required).map(|member| member.name).collect();
    let properties: Map<_, _> =
        members.into_iter().map(|member| (member.name.to_owned(), member.schema)).collect();
    json!({
        "type": "object",
        "description": "Details of the request. Omitted at level 1, and if there are none.",
        "properties": properties,
        "required": required,
    })
}

/// What the request asks for. Parts that were invalid are left out, so nothing is required.
fn start(operation: Operation) -> Vec<Member> {
    let members = match operation {
        Operation::Create => vec![claims(), link()],
        Operation::Search => vec![limit(), cursor(), claim_keys(), claims(), link()],
        Operation::RetrieveList => vec![limit(), cursor()],
        Operation::CredentialRetrieveList => vec![id("userId"), limit(), cursor()],
        Operation::Retrieve | Operation::Delete => vec![id("id")],
        Operation::Update => vec![id("id"), claims(), link()],
    };
    members.into_iter().map(|member| Member { is_required: false, ..member }).collect()
}

fn success(operation: Operation) -> Vec<Member> {
    match operation {
        Operation::Create | Operation::Retrieve | Operation::Update => vec![id("id"), user()],
        Operation::Delete => vec![id("id"), deleted()],
        Operation::Search | Operation::RetrieveList | Operation::CredentialRetrieveList => {
            vec![entries_count(), next_cursor()]
        }
    }
}

fn fail(operation: Operation) -> Vec<Member> {
    let about = match operation {
        Operation::Create | Operation::Search | Operation::RetrieveList => None,
        Operation::Retrieve | Operation::Update | Operation::Delete => Some("id"),
        Operation::CredentialRetrieveList => Some("userId"),
    };
    let about = about.map(|name| Member { is_required: false, ..id(name) });
    std::iter::once(error()).chain(about).collect()
}

fn required(name: &'static str, schema: Value) -> Member {
    Member { name, schema, is_required: true }
}

fn optional(name: &'static str, schema: Value) -> Member {
    Member { name, schema, is_required: false }
}

fn id(name: &'static str) -> Member {
    let example = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";
    required(
        name,
        json!({"type": "string", "format": "uuid", "description": "The user's id.", "examples": [example]}),
    )
}

fn limit() -> Member {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": 1000, "description": "The page's size.", "examples": [100]});
    optional("limit", schema)
}

fn cursor() -> Member {
    optional(
        "cursor",
        json!({"type": "string", "description": "Where the page starts, unless at the beginning."}),
    )
}

fn claim_keys() -> Member {
    let schema = json!({
        "type": "array",
        "items": {"type": "string"},
        "maxItems": 32,
        "description": "The claims that were searched, as JSON Pointers without their values.",
        "examples": [["/address/country"]],
    });
    optional("claimKeys", schema)
}

fn entries_count() -> Member {
    let schema =
        json!({"type": "integer", "minimum": 0, "description": "The entries of the page.", "examples": [2]});
    required("entriesCount", schema)
}

fn next_cursor() -> Member {
    optional(
        "nextCursor",
        json!({"type": "string", "description": "Where the next page starts, if there is one."}),
    )
}

fn deleted() -> Member {
    required("deleted", json!({"const": true, "description": "Always true.", "examples": [true]}))
}

fn error() -> Member {
    let schema = json!({
        "type": "object",
        "description": "Why it failed, in fixed words.",
        "properties": {
            "type": {"type": "string", "description": "The error's `code`, or `ClientClosedRequest`."},
            "message": {"type": "string", "description": "A text for people, without any value of the request."},
        },
        "required": ["type", "message"],
        "examples": [{"type": "NotFound", "message": "User not found"}],
    });
    required("error", schema)
}

fn claims() -> Member {
    optional("claims", json!({"type": "object", "description": "Level 3 only: the claims of the request."}))
}

fn link() -> Member {
    let description = "Level 3 only: the link to an identity provider in the request.";
    optional("authenticationProvider", json!({"type": "object", "description": description}))
}

fn user() -> Member {
    optional("user", json!({"type": "object", "description": "Level 3 only: the user as the API shows it."}))
}
