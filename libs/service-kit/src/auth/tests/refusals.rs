//! What makes a token valid, and each way in which it can be invalid.

use crate::{
    auth::{keys::KeySet, refusal::Refusal, testing::*, verify::*},
    settings::Jwks,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

fn verify(token: &str, keys: &[Value]) -> Result<Verified, Refusal> {
    Verifier::new(&jwt_settings(Jwks::Local)).verify(token, &KeySet::parse(&document(keys)).unwrap())
}

#[track_caller]
fn assert_refused(claims: &Value, refusal: Refusal) {
    let key = TestKey::new(Algorithm::EdDSA, Some("k"));
    assert_eq!(verify(&key.sign(claims), &[key.public()]), Err(refusal));
}

#[test]
fn each_algorithm_is_believed_with_and_without_a_key_id() {
    for algorithm in ALGORITHMS {
        for kid in [Some("k"), None] {
            let (key, other) = (TestKey::new(algorithm, kid), TestKey::new(Algorithm::ES256, None));
            let principal = verify(&key.sign(&claims()), &[other.public(), key.public()]).unwrap().principal;
            assert_eq!(principal.tenant.as_str(), "acme");
            assert_eq!(principal.client_id.as_deref(), Some("console"));
            assert!(principal.can_read && principal.can_write);
        }
    }
}

#[test]
fn an_unsigned_token_is_refused() {
    let key = TestKey::new(Algorithm::EdDSA, None);
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE"] {
        let token = format!("{}.{}.", part(json!({"alg": alg, "typ": "JWT"})), part(claims()));
        assert!(verify(&token, &[key.public()]).is_err());
    }
}

#[test]
fn a_public_key_is_no_secret() {
    for algorithm in ALGORITHMS {
        let key = TestKey::new(algorithm, Some("k"));
        let public = key.public();
        for secret in [public.to_string(), public["x"].to_string(), public["n"].to_string()] {
            let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::HS256) };
            let token = encode(&header, &claims(), &EncodingKey::from_secret(secret.as_bytes())).unwrap();
            assert_eq!(verify(&token, std::slice::from_ref(&public)), Err(Refusal::Algorithm));
        }
    }
}

#[test]
fn a_symmetric_key_in_the_set_verifies_nothing() {
    let oct = json!({"kty": "oct", "kid": "k", "k": URL_SAFE_NO_PAD.encode("secret"), "alg": "HS256"});
    let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::HS256) };
    let token = encode(&header, &claims(), &EncodingKey::from_secret(b"secret")).unwrap();
    assert_eq!(verify(&token, &[oct]), Err(Refusal::Algorithm));
}

#[test]
fn the_algorithm_must_fit_the_key() {
    let (ed, ec) = (TestKey::new(Algorithm::EdDSA, Some("k")), TestKey::new(Algorithm::ES256, Some("k")));
    assert_eq!(verify(&ed.sign(&claims()), &[ec.public()]), Err(Refusal::Algorithm));
}

#[test]
fn the_key_must_be_known_and_the_signature_its_own() {
    let key = TestKey::new(Algorithm::EdDSA, Some("k"));
    let (other, impostor) =
        (TestKey::new(Algorithm::EdDSA, Some("o")), TestKey::new(Algorithm::EdDSA, Some("k")));
    assert_eq!(verify(&other.sign(&claims()), &[key.public()]), Err(Refusal::UnknownKey));
    assert_eq!(verify(&impostor.sign(&claims()), &[key.public()]), Err(Refusal::Signature));
    let nameless = TestKey::new(Algorithm::EdDSA, None);
    assert_eq!(verify(&nameless.sign(&claims()), &[key.public()]), Err(Refusal::UnknownKey));
}

#[test]
fn keys_for_other_uses_are_skipped() {
    let key = TestKey::new(Algorithm::EdDSA, Some("k"));
    for (name, value) in [("use", json!("enc")), ("key_ops", json!(["sign"])), ("alg", json!("ES256"))] {
        let mut public = key.public();
        public[name] = value;
        assert_eq!(verify(&key.sign(&claims()), &[public]), Err(Refusal::UnknownKey), "{name}");
    }
    let strange =
        [json!({"kty": "XYZ"}), json!(7), json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"})];
    assert!(verify(&key.sign(&claims()), &[&strange[..], &[key.public()]].concat()).is_ok());
}

#[test]
fn a_critical_extension_is_not_understood() {
    let key = TestKey::new(Algorithm::EdDSA, None);
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..Header::new(Algorithm::EdDSA) };
    assert_eq!(verify(&key.sign_as(&header, &claims()), &[key.public()]), Err(Refusal::Malformed));
}

#[test]
fn issuer_and_audience_must_be_ours() {
    assert_refused(&claims_with("iss", json!("another")), Refusal::Issuer);
    assert_refused(&claims_with("iss", json!(["issuer"])), Refusal::Issuer);
    assert_refused(&claims_with("iss", Value::Null), Refusal::Issuer);
    assert_refused(&claims_with("aud", json!("another")), Refusal::Audience);
    assert_refused(&claims_with("aud", json!(["another"])), Refusal::Audience);
    assert_refused(&claims_with("aud", Value::Null), Refusal::Audience);
    let key = TestKey::new(Algorithm::EdDSA, None);
    assert!(verify(&key.sign(&claims_with("aud", json!(["x", "rollcall"]))), &[key.public()]).is_ok());
}

#[test]
fn a_token_has_its_time() {
    let now = get_current_timestamp();
    assert_refused(&claims_with("exp", Value::Null), Refusal::NoExpiry);
    assert_refused(&claims_with("exp", json!("soon")), Refusal::NoExpiry);
    assert_refused(&claims_with("exp", json!(now - 60)), Refusal::Expired);
    assert_refused(&claims_with("nbf", json!(now + 60)), Refusal::NotYet);
    let key = TestKey::new(Algorithm::EdDSA, None);
    for (name, value) in [("exp", now - 2), ("nbf", now + 2), ("nbf", now - 60)] {
        assert!(verify(&key.sign(&claims_with(name, json!(value))), &[key.public()]).is_ok(), "{name}");
    }
}

#[test]
fn the_tenant_must_be_a_tenant_id() {
    for bad in [Value::Null, json!(7), json!(""), json!("a b"), json!(["acme"]), json!("x".repeat(65))] {
        assert_refused(&claims_with("tenant_id", bad), Refusal::Tenant);
    }
}

#[test]
fn scopes_by_any_of_their_spellings() {
    let key = TestKey::new(Algorithm::EdDSA, None);
    let of = |claims: Value| verify(&key.sign(&claims), &[key.public()]).unwrap().principal;
    let scope = |value: Value| of(claims_with("scope", value));
    assert!(scope(json!("users:read")).can_read && !scope(json!("users:read")).can_write);
    assert!(scope(json!(["users:write"])).can_write && !scope(json!(["users:write"])).can_read);
    assert!(!scope(json!("users:readers xusers:write")).can_read && !scope(Value::Null).can_write);
    let mut by_scp = claims_with("scope", Value::Null);
    by_scp["scp"] = json!(["users:read"]);
    assert!(of(by_scp).can_read);
}

#[test]
fn a_client_is_named_if_it_is_fit_for_a_header() {
    let key = TestKey::new(Algorithm::EdDSA, None);
    let client = |claims: Value| verify(&key.sign(&claims), &[key.public()]).unwrap().principal.client_id;
    let mut by_azp = claims_with("client_id", Value::Null);
    by_azp["azp"] = json!("app");
    assert_eq!(client(by_azp).as_deref(), Some("app"));
    for bad in [json!(""), json!("a b"), json!("ä"), json!("x\n"), json!("x".repeat(129)), json!(7)] {
        assert_eq!(client(claims_with("client_id", bad)), None);
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let key = TestKey::new(Algorithm::EdDSA, None);
    let good = key.sign(&claims());
    for bad in ["", "a", "a.b", "a.b.c", "...", &good[1..], &good[..good.len() - 4], &format!("{good}.x")] {
        assert!(verify(bad, &[key.public()]).is_err(), "{bad}");
    }
}
