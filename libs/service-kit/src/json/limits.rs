//! Size limits of a free-form object.

use super::{Found, Path, Refusals};
use serde_json::{Map, Value};

/// Levels of nesting in claims, counting the object itself.
const MAX_LEVELS: usize = 32;
/// Levels of nesting in a body that contains claims: the enclosing object is one more.
pub const MAX_BODY_LEVELS: usize = MAX_LEVELS + 1;
/// Total number of members at all levels.
const MAX_MEMBERS: usize = 1_000;
/// Length of a key in Unicode characters.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 1..=256;

/// Checks a free-form object against its limits: 32 levels, 1,000 members in total, keys of 1 to
/// 256 characters. `root` is the name that paths start with.
///
/// # Errors
/// The places that exceed a limit.
pub fn check_claims_limits(value: &Value, root: &str) -> Result<(), Refusals> {
    let mut check = Check { path: Path(root.to_owned()), members: 0, found: Found::default() };
    check.value(value, 1);
    check.found.finish(())
}

struct Check {
    path: Path,
    members: usize,
    found: Found,
}

impl Check {
    fn value(&mut self, value: &Value, level: usize) {
        match value {
            Value::Array(_) | Value::Object(_) if level > MAX_LEVELS => {
                self.found.push(self.path.refuse("More than 32 levels deep"));
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
                let above = self.path.enter_index(index);
                self.value(item, level + 1);
                self.path.leave(above);
            }),
            Value::Object(members) => self.object(members, level),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn object(&mut self, members: &Map<String, Value>, level: usize) {
        let before = self.members;
        self.members += members.len();
        // Told once, where it is exceeded.
        if before <= MAX_MEMBERS && self.members > MAX_MEMBERS {
            self.found.push(self.path.refuse("More than 1000 members in all"));
        }
        for (key, value) in members {
            let above = self.path.enter_key(key);
            if !KEY_CHARS.contains(&key.chars().count()) {
                self.found.push(self.path.refuse("A key has 1 to 256 characters"));
            }
            self.value(value, level + 1);
            self.path.leave(above);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
    }

    #[test]
    fn each_limit_holds_to_the_last() {
        let wide = |n: usize| Value::Object((0..n).map(|i| (i.to_string(), json!(1))).collect::<Map<_, _>>());
        let keyed = |n: usize| json!({ "ä".repeat(n): 1 });
        assert!(check_claims_limits(&nested(32), "claims").is_ok());
        assert!(check_claims_limits(&nested(33), "claims").is_err());
        assert!(check_claims_limits(&wide(1000), "claims").is_ok());
        assert!(check_claims_limits(&wide(1001), "claims").is_err());
        assert!(check_claims_limits(&json!({ "a": wide(999) }), "claims").is_ok());
        assert!(check_claims_limits(&json!({ "a": wide(1000) }), "claims").is_err());
        assert!(check_claims_limits(&keyed(256), "claims").is_ok());
        assert!(check_claims_limits(&keyed(257), "claims").is_err());
        assert_eq!(
            check_claims_limits(&json!({ "a": [{ "": 1 }] }), "claims").unwrap_err().first().path,
            "claims.a[0]."
        );
    }

    #[test]
    fn every_place_is_named() {
        let bad = json!({ "": 1, "a": { "": [{ "": 2 }] }, "deep": nested(33) });
        let paths: Vec<_> = check_claims_limits(&bad, "claims")
            .unwrap_err()
            .0
            .into_iter()
            .map(|refusal| refusal.path)
            .collect();
        let deep = format!("claims.deep{}", ".a".repeat(31));
        assert_eq!(paths, ["claims.", "claims.a.", "claims.a.[0].", &deep]);
    }
}
