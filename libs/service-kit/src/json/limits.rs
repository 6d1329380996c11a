//! Size limits of a free-form object.

use super::{Path, Refusal};
use serde_json::Value;

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
/// The first place that exceeds a limit.
pub fn check_claims_limits(value: &Value, root: &str) -> Result<(), Refusal> {
    Check { path: Path(root.to_owned()), members: 0 }.value(value, 1)
}

struct Check {
    path: Path,
    members: usize,
}

impl Check {
    fn value(&mut self, value: &Value, level: usize) -> Result<(), Refusal> {
        if level > MAX_LEVELS && (value.is_object() || value.is_array()) {
            return Err(self.path.refuse("More than 32 levels deep"));
        }
        match value {
            Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
                let above = self.path.enter_index(index);
                self.value(item, level + 1)?;
                self.path.leave(above);
                Ok(())
            }),
            Value::Object(members) => {
                self.members += members.len();
                if self.members > MAX_MEMBERS {
                    return Err(self.path.refuse("More than 1000 members in all"));
                }
                members.iter().try_for_each(|(key, value)| self.member(key, value, level))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn member(&mut self, key: &str, value: &Value, level: usize) -> Result<(), Refusal> {
        let above = self.path.enter_key(key);
        if !KEY_CHARS.contains(&key.chars().count()) {
            return Err(self.path.refuse("A key has 1 to 256 characters"));
        }
        self.value(value, level + 1)?;
        self.path.leave(above);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

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
            check_claims_limits(&json!({ "a": [{ "": 1 }] }), "claims").unwrap_err().path,
            "claims.a[0]."
        );
    }
}
