use super::*;
use proptest::prelude::*;
use serde_json::json;

fn search(body: &str) -> Result<(SearchRequest, Data), Problem> {
    let mut errors = ValidationErrors::default();
    let (search, start) = read(body.as_bytes(), true, &mut errors);
    errors.finish(search).map(|search| (search, start))
}

/// The refused places of a body.
fn params(body: &str) -> Vec<String> {
    let problem = search(body).err().unwrap();
    assert!(problem.details.iter().all(|detail| detail.location == Location::Body));
    problem.details.into_iter().map(|detail| detail.param).collect()
}

#[test]
fn nothing_given_is_every_user() {
    for body in ["{}", r#"{"claims":{}}"#, r#"{"authenticationProvider":{}}"#] {
        let (search, start) = search(body).ok().unwrap();
        assert!(search.criteria == Criteria::default(), "{body}");
        assert_eq!(search.page, PageRequest { limit: 100, after: None });
        assert_eq!(Value::Object(start.non_sensitive), json!({ "limit": 100 }));
    }
}

#[test]
fn all_that_is_given_is_read() {
    let sample = "Y3JlYXRlZEF0PTIwMjAtMDgtMjVUMDY6NDY6MDkuNTEwWiZpZD1h";
    let id = "0B5E6F1C-58f1-4b0c-8f0f-4f2c0c7e9a01";
    let claims = json!({ "a": { "b": 1.0, "c": null }, "d": [18_446_744_073_709_551_615_u64] });
    let link = json!({ "providerId": id, "url": "https://x", "subjectId": "s" });
    let body = json!({ "claims": claims, "authenticationProvider": link, "limit": 7, "cursor": sample });
    let (search, start) = search(&body.to_string()).ok().unwrap();
    assert_eq!(Value::Object(search.criteria.claims), claims);
    assert_eq!(search.criteria.provider_id, id.parse().ok());
    assert_eq!(search.criteria.provider_url.as_deref(), Some("https://x"));
    assert_eq!(search.criteria.subject_id.as_deref(), Some("s"));
    let after = search.page.after.unwrap();
    assert_eq!(search.page.limit, 7);
    let said = json!({ "limit": 7, "cursor": after.encode(), "claimKeys": ["/a/b", "/a/c", "/d"] });
    assert_eq!(Value::Object(start.non_sensitive), said);
    assert_eq!(Value::Object(start.full), json!({ "claims": claims, "authenticationProvider": link }));
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    for (body, param) in [
        ("", "body"),
        ("[]", "body"),
        ("null", "body"),
        ("{} {}", "body"),
        (r#"{"claim":{}}"#, "claim"),
        (r#"{"claims":null}"#, "claims"),
        (r#"{"claims":[]}"#, "claims"),
        (r#"{"claims":{"a":1,"a":1}}"#, "claims.a"),
        (r#"{"claims":{},"claims":{}}"#, "claims"),
        (r#"{"claims":{"":1}}"#, "claims."),
        (r#"{"authenticationProvider":null}"#, "authenticationProvider"),
        (r#"{"authenticationProvider":{"providerId":"x"}}"#, "authenticationProvider.providerId"),
        (r#"{"authenticationProvider":{"url":1}}"#, "authenticationProvider.url"),
        (r#"{"authenticationProvider":{"subjectId":null}}"#, "authenticationProvider.subjectId"),
        (r#"{"authenticationProvider":{"subject":"s"}}"#, "authenticationProvider.subject"),
        (r#"{"cursor":null}"#, "cursor"),
        (r#"{"cursor":""}"#, "cursor"),
        (r#"{"cursor":7}"#, "cursor"),
    ] {
        assert_eq!(params(body), [param], "{body}");
    }
    for limit in ["0", "1001", "-1", "1.5", "1.0", "1e2", "\"100\"", "null", "[1]", "18446744073709551616"] {
        assert_eq!(params(&format!(r#"{{"limit":{limit}}}"#)), ["limit"], "{limit}");
    }
    let link = r#"{"providerId":"x","url":1,"subjectId":1}"#;
    let link = params(&format!(r#"{{"limit":0,"cursor":"","x":1,"authenticationProvider":{link}}}"#));
    let of_link = ["providerId", "url", "subjectId"].map(|name| format!("authenticationProvider.{name}"));
    assert_eq!(link[..3], ["x", "limit", "cursor"]);
    assert_eq!(link[3..], of_link);
}

#[test]
fn a_bad_limit_is_echoed_and_a_claim_is_not() {
    let problem = search(r#"{"limit":1001}"#).err().unwrap();
    assert_eq!(problem.details[0].value.as_deref(), Some("1001"));
    let body = r#"{"claims":{"a":"secret\u0000"},"authenticationProvider":{"providerId":"secret"}}"#;
    let problem = serde_json::to_string(&search(body).err().unwrap()).unwrap();
    assert!(!problem.contains("secret"), "{problem}");
}

#[test]
fn start_leaves_out_what_did_not_validate() {
    let mut errors = ValidationErrors::default();
    let body = br#"{"limit":0,"claims":{"a":1},"authenticationProvider":{"providerId":"x"},"x":1}"#;
    let (search, start) = read(body, true, &mut errors);
    assert!(search.is_none() || errors.finish(search).is_err());
    assert_eq!(Value::Object(start.non_sensitive), json!({ "claimKeys": ["/a"] }));
    assert_eq!(Value::Object(start.full), json!({ "claims": { "a": 1 } }));
}

#[test]
fn the_claims_begin_at_their_own_first_level() {
    let nested =
        |levels: usize| format!("{}{}", "{\"a\":".repeat(levels - 1), "{}") + &"}".repeat(levels - 1);
    assert!(search(&format!(r#"{{"claims":{}}}"#, nested(32))).is_ok());
    assert!(search(&format!(r#"{{"claims":{}}}"#, nested(33))).is_err());
}

proptest! {
    #[test]
    fn no_body_is_too_strange(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&body, true, &mut ValidationErrors::default());
    }

    #[test]
    fn claims_reach_the_store_as_they_came(keys in prop::collection::btree_map("[^\0]{1,8}", "[^\0]*", 1..5)) {
        let claims = json!(keys);
        let (search, _) = search(&json!({ "claims": claims }).to_string()).ok().unwrap();
        prop_assert_eq!(Value::Object(search.criteria.claims), claims);
    }
}
