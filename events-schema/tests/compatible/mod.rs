//! Checks that everything that an older schema allowed can still be read, and that everything that
//! it described is still described.

use serde_json::{Map, Value};

/// What a consumer of older events, or of the older schema, would lose. Empty if the change is
/// compatible.
pub(crate) fn breaks(before: &Value, now: &Value) -> Vec<String> {
    let mut comparison = Comparison { before, now, found: Vec::new(), open: Vec::new() };
    comparison.schema("", before, now);
    comparison.found
}

struct Comparison<'a> {
    before: &'a Value,
    now: &'a Value,
    found: Vec<String>,
    /// References that are being compared, so that recursion ends at a type that contains itself.
    open: Vec<(String, String)>,
}

impl<'a> Comparison<'a> {
    fn schema(&mut self, place: &str, before: &'a Value, now: &'a Value) {
        let refs = (reference(before).to_owned(), reference(now).to_owned());
        let is_reference = !refs.0.is_empty() || !refs.1.is_empty();
        if is_reference && self.open.contains(&refs) {
            return;
        }
        self.open.push(refs);
        self.resolved(place, resolve(self.before, before), resolve(self.now, now));
        self.open.pop();
    }

    fn resolved(&mut self, place: &str, before: &'a Value, now: &'a Value) {
        self.types(place, before, now);
        self.values(place, before, now);
        self.formats(place, before, now);
        self.properties(place, before, now);
        self.required(place, before, now);
        for key in ["items", "additionalProperties"] {
            match (before.get(key), now.get(key)) {
                (Some(before), Some(now)) => self.schema(&format!("{place}/{key}"), before, now),
                (None, Some(now)) => self.schema(&format!("{place}/{key}"), &Value::Bool(true), now),
                (_, None) => {}
            }
        }
        self.alternatives(place, before, now);
    }

    fn types(&mut self, place: &str, before: &Value, now: &Value) {
        if now == &Value::Bool(false) && before != now {
            self.say(place, "is allowed no longer");
        }
        let Some(now) = types(now) else { return };
        let takes = |t: &str| now.contains(&t) || (t == "integer" && now.contains(&"number"));
        match types(before) {
            Some(before) if before.iter().all(|t| takes(t)) => {}
            Some(_) => self.say(place, "its type is narrower"),
            None => self.untyped(place, before, &now),
        }
    }

    /// A schema without a type allows what its alternatives allow, or anything.
    fn untyped(&mut self, place: &str, before: &Value, now: &[&str]) {
        let alternatives = alternatives(before);
        let takes = |schema: &&Value| {
            types(resolve(self.before, schema)).is_some_and(|types| types.iter().all(|t| now.contains(t)))
        };
        if alternatives.is_empty() || !alternatives.iter().all(takes) {
            self.say(place, "has a type now");
        }
    }

    fn values(&mut self, place: &str, before: &Value, now: &Value) {
        let Some(now) = values(now) else { return };
        match values(before) {
            Some(before) if before.iter().all(|value| now.contains(value)) => {}
            Some(_) => self.say(place, "a value is allowed no longer"),
            None => self.say(place, "only some values are allowed now"),
        }
    }

    fn formats(&mut self, place: &str, before: &Value, now: &Value) {
        let keys =
            ["format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"];
        for key in keys {
            if now.get(key).is_some_and(|now| !is_within(key, before.get(key), now)) {
                self.say(place, &format!("has another {key}"));
            }
        }
    }

    fn properties(&mut self, place: &str, before: &'a Value, now: &'a Value) {
        for (name, before) in members(before, "properties") {
            let place = format!("{place}/{name}");
            match members(now, "properties").get(name) {
                Some(now) => self.schema(&place, before, now),
                None => self.say(&place, "is told no longer"),
            }
        }
    }

    fn required(&mut self, place: &str, before: &Value, now: &Value) {
        let before = strings(before.get("required"));
        for name in strings(now.get("required")).iter().filter(|name| !before.contains(name)) {
            self.say(&format!("{place}/{name}"), "is required now");
        }
    }

    /// Each earlier alternative must still be one.
    fn alternatives(&mut self, place: &str, before: &'a Value, now: &'a Value) {
        let wide = alternatives(now);
        if wide.is_empty() || values(now).is_some() {
            return;
        }
        let narrow = alternatives(before);
        let narrow = if narrow.is_empty() { vec![before] } else { narrow };
        for before in narrow {
            let is_kept = |now: &&Value| {
                let mut trial = Comparison {
                    before: self.before,
                    now: self.now,
                    found: Vec::new(),
                    open: self.open.clone(),
                };
                trial.schema(place, before, now);
                trial.found.is_empty()
            };
            if !wide.iter().any(is_kept) {
                self.say(place, "an alternative is gone");
            }
        }
    }

    fn say(&mut self, place: &str, what: &str) {
        self.found.push(format!("{}: {what}", if place.is_empty() { "/" } else { place }));
    }
}

/// Whether all that the bound `before` allows is within the bound `now`.
fn is_within(key: &str, before: Option<&Value>, now: &Value) -> bool {
    let numbers = before.and_then(Value::as_f64).zip(now.as_f64());
    match numbers {
        Some((before, now)) if key.starts_with("min") => before >= now,
        Some((before, now)) if key.starts_with("max") => before <= now,
        _ => before == Some(now),
    }
}

fn reference(schema: &Value) -> &str {
    schema["$ref"].as_str().unwrap_or_default()
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = reference(schema).strip_prefix('#');
    pointer.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `None`: any type.
fn types(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some(vec![one]),
        many => Some(strings(Some(many))),
    }
}

fn members<'a>(schema: &'a Value, key: &str) -> &'a Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    schema.get(key).and_then(Value::as_object).unwrap_or(&NONE)
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(*key)?.as_array()).flatten().collect()
}

/// The closed list of values, in either notation. `None` if there is none.
fn values(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return Some(list.iter().collect());
    }
    if let Some(one) = schema.get("const") {
        return Some(vec![one]);
    }
    let alternatives = alternatives(schema);
    let lists: Option<Vec<_>> = alternatives.iter().map(|alternative| values(alternative)).collect();
    lists.filter(|lists| !lists.is_empty()).map(|lists| lists.into_iter().flatten().collect())
}

mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn breaks_with(before: Value, now: Value, wanted: &[&str]) {
        let found = breaks(&before, &now);
        assert_eq!(found, wanted, "{before} → {now}");
    }

    #[test]
    fn growing_is_compatible() {
        let before = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
        let now = json!({"type": "object", "properties": {"a": {"type": ["number", "null"]}, "b": {"type": "string"}}});
        breaks_with(before.clone(), before.clone(), &[]);
        breaks_with(before, now, &[]);
        breaks_with(json!({"enum": [1]}), json!({"oneOf": [{"const": 1}, {"const": 2}]}), &[]);
        breaks_with(json!({"type": "string", "format": "uuid"}), json!({"type": "string"}), &[]);
        breaks_with(json!({"type": "string"}), json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), &[]);
        breaks_with(json!({"type": "string"}), json!(true), &[]);
        breaks_with(json!({"minimum": 1, "maximum": 9}), json!({"minimum": 0, "maximum": 10}), &[]);
    }

    #[test]
    fn each_way_of_shrinking_is_seen() {
        let object = |a: Value| json!({"type": "object", "properties": {"a": a}});
        let required = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
        breaks_with(object(json!({"type": "string"})), required, &["/a: is required now"]);
        breaks_with(object(json!({})), json!({"type": "object"}), &["/a: is told no longer"]);
        breaks_with(
            object(json!({"type": "number"})),
            object(json!({"type": "integer"})),
            &["/a: its type is narrower"],
        );
        breaks_with(object(json!({})), object(json!({"type": "integer"})), &["/a: has a type now"]);
        breaks_with(object(json!(true)), object(json!(false)), &["/a: is allowed no longer"]);
        breaks_with(json!({"enum": [1, 2]}), json!({"enum": [1]}), &["/: a value is allowed no longer"]);
        let spelt = json!({"oneOf": [{"const": "a"}, {"const": "b"}]});
        breaks_with(spelt, json!({"oneOf": [{"const": "a"}]}), &["/: a value is allowed no longer"]);
        breaks_with(
            json!({"type": "string"}),
            json!({"type": "string", "enum": ["a"]}),
            &["/: only some values are allowed now"],
        );
        breaks_with(
            json!({"type": "string"}),
            json!({"type": "string", "format": "uuid"}),
            &["/: has another format"],
        );
        breaks_with(json!({"minimum": 1}), json!({"minimum": 2}), &["/: has another minimum"]);
        breaks_with(json!({}), json!({"maxLength": 2}), &["/: has another maxLength"]);
        breaks_with(json!({"items": {}}), json!({"items": {"type": "null"}}), &["/items: has a type now"]);
        let closed = json!({"type": "object", "additionalProperties": false});
        breaks_with(json!({"type": "object"}), closed, &["/additionalProperties: is allowed no longer"]);
        let nullable = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
        breaks_with(nullable.clone(), json!({"type": "string"}), &["/: has a type now"]);
        breaks_with(nullable, json!({"anyOf": [{"type": "string"}]}), &["/: an alternative is gone"]);
    }

    #[test]
    fn references_are_followed_and_end() {
        let of = |t: &str| json!({"$ref": "#/$defs/T", "$defs": {"T": {"type": t, "properties": {"t": {"$ref": "#/$defs/T"}}}}});
        breaks_with(of("object"), of("object"), &[]);
        breaks_with(of("object"), of("array"), &["/: its type is narrower"]);
        let inline =
            json!({"type": "object", "properties": {"t": {"type": "object", "properties": {"t": {}}}}});
        breaks_with(of("object"), inline, &[]);
    }
}
