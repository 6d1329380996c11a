use super::*;

fn ask(transit: &mut Transit, method: &str, path: &str, body: Value) -> Said {
    let token = transit.token.clone();
    transit.answer(&Request { method, path: &format!("/v1/transit/{path}"), token: Some(&token), body })
}

fn engine() -> Transit {
    let mut transit = Transit::new("t");
    assert_eq!(ask(&mut transit, "POST", "keys/k", json!({})).0, 200);
    transit
}

fn item(text: &str, associated: &str) -> Value {
    json!({ "plaintext": STANDARD.encode(text), "associated_data": STANDARD.encode(associated) })
}

fn encrypted(transit: &mut Transit, text: &str, associated: &str) -> String {
    let (status, said) =
        ask(transit, "POST", "encrypt/k", json!({ "batch_input": [item(text, associated)] }));
    assert_eq!(status, 200);
    said["data"]["batch_results"][0]["ciphertext"].as_str().unwrap().to_owned()
}

fn decrypted(transit: &mut Transit, items: &[(&str, &str)]) -> (u16, Vec<Value>) {
    let items: Vec<_> = items
        .iter()
        .map(|(ciphertext, associated)| json!({ "ciphertext": ciphertext, "associated_data": STANDARD.encode(associated) }))
        .collect();
    let (status, said) = ask(transit, "POST", "decrypt/k", json!({ "batch_input": items }));
    (status, said["data"]["batch_results"].as_array().unwrap().clone())
}

#[test]
fn what_it_encrypts_it_decrypts_for_the_same_associated_data_alone() {
    let mut transit = engine();
    let text = encrypted(&mut transit, "hush", "a");
    assert!(text.starts_with("vault:v1:"));
    let (status, results) = decrypted(&mut transit, &[(&text, "a"), (&text, "b")]);
    assert_eq!((status, &results[0]["plaintext"]), (400, &json!(STANDARD.encode("hush"))));
    assert_eq!(results[1]["error"], "cipher: message authentication failed");
    assert_eq!(decrypted(&mut transit, &[(&text, "a")]).0, 200);
}

#[test]
fn versions_come_and_go() {
    let mut transit = engine();
    let old = encrypted(&mut transit, "x", "a");
    assert_eq!(ask(&mut transit, "POST", "keys/k/rotate", json!({})).0, 200);
    let new = encrypted(&mut transit, "x", "a");
    assert!(new.starts_with("vault:v2:"));
    assert_eq!(decrypted(&mut transit, &[(&old, "a"), (&new, "a")]).0, 200);
    let config = |version| json!({ "min_decryption_version": version });
    assert_eq!(ask(&mut transit, "POST", "keys/k/config", config(3)).0, 400);
    assert_eq!(ask(&mut transit, "POST", "keys/k/config", config(2)).0, 200);
    assert_eq!(transit.versions("k"), Some((2, 2)));
    assert_eq!(decrypted(&mut transit, &[(&old, "a")]).0, 400);
}

#[test]
fn what_is_missing_or_not_allowed_is_said() {
    let mut transit = engine();
    assert_eq!(ask(&mut transit, "GET", "keys/other", Value::Null), errors(404, &[]));
    assert_eq!(ask(&mut transit, "POST", "keys/other/rotate", json!({})).0, 400);
    assert_eq!(ask(&mut transit, "POST", "decrypt/other", json!({ "batch_input": [{}] })).0, 400);
    assert_eq!(ask(&mut transit, "POST", "encrypt/other", json!({ "batch_input": [{}] })).0, 403);
    assert_eq!(ask(&mut transit, "POST", "encrypt/k", json!({})).0, 400);
    let request = |token, path| Request { method: "GET", path, token, body: Value::Null };
    assert_eq!(transit.answer(&request(Some("no"), "/v1/transit/keys/k")).0, 403);
    assert_eq!(transit.answer(&request(None, "/v1/transit/keys/k")).0, 403);
    assert_eq!(transit.answer(&request(Some("t"), "/v1/elsewhere/keys/k")).0, 404);
    transit.is_sealed = true;
    assert_eq!(transit.answer(&request(Some("t"), "/v1/transit/keys/k")).0, 503);
}
