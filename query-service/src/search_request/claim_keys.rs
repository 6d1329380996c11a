//! The keys of the claims that a search uses, as JSON Pointers. Values are left out.

use serde_json::{Map, Value};

/// How many pointers are reported at most.
const MAX_POINTERS: usize = 32;
/// The longest pointer that is reported, in bytes, so that an event stays small.
const MAX_POINTER_BYTES: usize = 1_024;

/// The pointers of all leaves, or `None` without any. An array counts as a leaf, since containment
/// ignores positions in arrays.
pub(super) fn of(claims: &Map<String, Value>) -> Option<Value> {
    let mut pointers = Vec::new();
    collect(claims, "", &mut pointers);
    (!pointers.is_empty()).then(|| pointers.into())
}

fn collect(members: &Map<String, Value>, above: &str, pointers: &mut Vec<String>) {
    for (key, value) in members {
        let pointer = format!("{above}/{}", key.replace('~', "~0").replace('/', "~1"));
        if pointers.len() == MAX_POINTERS || pointer.len() > MAX_POINTER_BYTES {
            continue;
        }
        match value {
            Value::Object(inner) if !inner.is_empty() => collect(inner, &pointer, pointers),
            _ => pointers.push(pointer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointers(claims: Value) -> Option<Value> {
        of(claims.as_object().unwrap())
    }

    #[test]
    fn leaves_by_their_keys() {
        assert_eq!(pointers(json!({})), None);
        let claims = json!({ "a": { "b/~": 1, "c": {} }, "d": [{ "e": 1 }], "": null });
        assert_eq!(pointers(claims), Some(json!(["/a/b~1~0", "/a/c", "/d", "/"])));
    }

    #[test]
    fn few_and_short() {
        let many: Map<_, _> = (0..50).map(|n| (n.to_string(), json!({ "x": 1 }))).collect();
        assert_eq!(of(&many).unwrap().as_array().unwrap().len(), MAX_POINTERS);
        let long = "x".repeat(MAX_POINTER_BYTES);
        assert_eq!(pointers(json!({ long: 1, "a": 1 })), Some(json!(["/a"])));
    }
}
