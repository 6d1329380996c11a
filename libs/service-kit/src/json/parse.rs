//! Parses text to a value in one pass, with every check that concerns the text itself.

use super::{Found, Path, Refusal, Refusals, encoding, number};
use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};
use serde_json::{Map, Value};

const NOT_JSON: &str = "Not valid JSON";

/// Parses a text. Refuses: text that is not JSON or not UTF-8; repeated keys; U+0000 or a lone
/// surrogate in a string or key; numbers that are neither a 64-bit integer nor a finite double (or
/// that underflow to 0); more than `max_depth` levels (the outermost object is level 1). Integers
/// stay exact, other numbers become doubles, and keys keep their order.
///
/// # Errors
/// Everything that is wrong, up to where the text can't be read on.
pub fn parse(text: &[u8], max_depth: usize) -> Result<Value, Refusals> {
    encoding::refused(text).map_or(Ok(()), |said| Err(whole(said)))?;
    std::str::from_utf8(text).map_err(|_| whole("Not valid UTF-8"))?;
    let (json, path) = (Jiter::new(text), Path(String::new()));
    let mut parser = Parser { json, path, levels_left: max_depth, found: Found::default() };
    let value = parser.document();
    let Parser { mut found, .. } = parser;
    let value = value.map_err(|refusal| found.push(refusal));
    found.finish(value.unwrap_or_default())
}

fn whole(msg: &'static str) -> Refusal {
    Refusal { path: String::new(), msg }
}

struct Parser<'j> {
    json: Jiter<'j>,
    path: Path,
    levels_left: usize,
    /// What was refused so far. The text can be read on after it.
    found: Found,
}

/// An error ends the parse.
impl Parser<'_> {
    fn document(&mut self) -> Result<Value, Refusal> {
        let first = self.json.peek().map_err(|_| whole(NOT_JSON))?;
        let value = self.value(first)?;
        self.json.finish().map_err(|_| whole(NOT_JSON))?;
        Ok(value)
    }

    fn value(&mut self, peek: Peek) -> Result<Value, Refusal> {
        match peek {
            Peek::Null => self.json.known_null().map(|()| Value::Null).map_err(|e| self.refusal(&e)),
            Peek::True | Peek::False => {
                self.json.known_bool(peek).map(Value::Bool).map_err(|e| self.refusal(&e))
            }
            Peek::String => self.string(),
            Peek::Array => self.nested(Self::array),
            Peek::Object => self.nested(Self::object),
            _ => self.number(peek),
        }
    }

    fn nested(&mut self, inside: fn(&mut Self) -> Result<Value, Refusal>) -> Result<Value, Refusal> {
        let Some(left) = self.levels_left.checked_sub(1) else {
            return Err(self.path.refuse("Nested too deeply"));
        };
        self.levels_left = left;
        let value = inside(self);
        self.levels_left += 1;
        value
    }

    fn array(&mut self) -> Result<Value, Refusal> {
        let mut items = Vec::new();
        let mut next = self.json.known_array().map_err(|e| self.refusal(&e))?;
        while let Some(peek) = next {
            let before = self.path.enter_index(items.len());
            items.push(self.value(peek)?);
            self.path.leave(before);
            next = self.json.array_step().map_err(|e| self.refusal(&e))?;
        }
        Ok(Value::Array(items))
    }

    fn object(&mut self) -> Result<Value, Refusal> {
        let mut members = Map::new();
        let mut next = self.json.known_object().map(|k| k.map(str::to_owned)).map_err(|e| e.error_type);
        loop {
            let Some(key) = next.map_err(|e| self.refusal_of(&e))? else { return Ok(Value::Object(members)) };
            let value = self.member(&key, &members)?;
            members.insert(key, value);
            next = self.json.next_key().map(|k| k.map(str::to_owned)).map_err(|e| e.error_type);
        }
    }

    // An error ends the parse, so only success has to restore the path.
    fn member(&mut self, key: &str, before: &Map<String, Value>) -> Result<Value, Refusal> {
        let above = self.path.enter_key(key);
        if before.contains_key(key) {
            self.found.push(self.path.refuse("Repeated key"));
        }
        self.text(key);
        let peek = self.json.peek().map_err(|e| self.refusal(&e))?;
        let value = self.value(peek)?;
        self.path.leave(above);
        Ok(value)
    }

    fn string(&mut self) -> Result<Value, Refusal> {
        let text = self.json.known_str().map(str::to_owned).map_err(|e| e.error_type);
        let text = text.map_err(|e| self.refusal_of(&e))?;
        self.text(&text);
        Ok(Value::String(text))
    }

    fn text(&mut self, text: &str) {
        if text.contains('\0') {
            self.found.push(self.path.refuse("U+0000 is not allowed in a string"));
        }
    }

    fn number(&mut self, peek: Peek) -> Result<Value, Refusal> {
        let text = self.json.known_number_bytes(peek).map(<[u8]>::to_vec).map_err(|e| e.error_type);
        let text = text.map_err(|e| self.refusal_of(&e))?;
        let number = std::str::from_utf8(&text).ok().and_then(number::read);
        let value = number.map(Value::Number).ok_or_else(|| self.found.push(self.path.refuse(NUMBER)));
        Ok(value.unwrap_or_default())
    }

    fn refusal(&self, error: &JiterError) -> Refusal {
        self.refusal_of(&error.error_type)
    }

    /// A syntax error concerns the text as a whole. Only well-formed but refused content has a
    /// place.
    fn refusal_of(&self, error: &JiterErrorType) -> Refusal {
        use JsonErrorType as E;
        match error {
            // A hex escape that ends too soon is a leading surrogate without its trailing one.
            JiterErrorType::JsonError(E::LoneLeadingSurrogateInHexEscape | E::UnexpectedEndOfHexEscape) => {
                self.path.refuse("A lone surrogate is not allowed in a string")
            }
            JiterErrorType::JsonError(E::NumberOutOfRange) => self.path.refuse(NUMBER),
            _ => whole(NOT_JSON),
        }
    }
}

const NUMBER: &str = "A number must be a 64-bit integer or a finite double";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, path: &str, part_of_msg: &str) {
        let refusal = parse(text.as_bytes(), 4).unwrap_err().first();
        assert_eq!(refusal.path, path, "{refusal:?}");
        assert!(refusal.msg.contains(part_of_msg), "{refusal:?}");
    }

    #[test]
    fn keeps_order_and_values() {
        let text = r#"{"b":[1,-2.5,"ä\u00e4\ud83d\ude00",true,null],"a":{}}"#;
        assert_eq!(
            parse(text.as_bytes(), 4).unwrap().to_string(),
            "{\"b\":[1,-2.5,\"ää😀\",true,null],\"a\":{}}"
        );
    }

    #[test]
    fn names_the_place() {
        refused(r#"{"a":{"b":1,"b":2}}"#, "a.b", "Repeated");
        refused(r#"{"a":[1,{"c":"x\u0000"}]}"#, "a[1].c", "U+0000");
        refused(r#"{"x\u0000":1}"#, "x\0", "U+0000");
        refused(r#"{"a":"\ud800"}"#, "a", "surrogate");
        refused(r#"{"a":"\ud800x"}"#, "a", "surrogate");
        refused(r#"{"a":"\udc00"}"#, "a", "surrogate");
        refused(r#"{"a":"\ud800\ud800"}"#, "a", "surrogate");
        refused(r#"{"a":1e400}"#, "a", "number");
        refused(r#"{"a":1e-400}"#, "a", "number");
        refused(&format!("{{\"a\":{}}}", "9".repeat(5000)), "a", "number");
        refused(r#"{"a":[[[[1]]]]}"#, "a[0][0][0]", "deep");
    }

    #[test]
    fn what_is_no_json_is_refused_as_a_whole() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "nul",
            "{\"a\":1,}",
            "[1,]",
            "{'a':1}",
            "{a:1}",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1e",
            "NaN",
            "Infinity",
            "-Infinity",
            "{} x",
            "{}{}",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12\"",
            "[1 2]",
            "{\"a\" 1}",
        ] {
            refused(text, "", "JSON");
        }
        refused("\u{feff}{}", "", "BOM");
        assert_eq!(parse(b"\"\xff\"", 4).unwrap_err().first().msg, "Not valid UTF-8");
    }

    #[test]
    fn names_every_place_up_to_where_it_ends() {
        let paths = |text: &str| -> Vec<String> {
            let refusals = parse(text.as_bytes(), 4).unwrap_err();
            refusals.0.into_iter().map(|refusal| refusal.path).collect()
        };
        assert_eq!(paths(r#"{"a":1e400,"b":["x\u0000",{"c":1,"c":2}],"d":1}"#), ["a", "b[0]", "b[1].c"]);
        assert_eq!(paths(r#"{"a":1e400,"b":"\ud800","c":1e400}"#), ["a", "b"]);
        assert_eq!(paths(r#"{"a":1e400,"b":nope,"c":1e400}"#), ["a", ""]);
    }

    #[test]
    fn depth_counts_from_the_outermost() {
        assert!(parse(b"[[[[1]]]]", 4).is_ok());
        assert!(parse(b"[[[[[1]]]]]", 4).is_err());
        assert!(parse("[".repeat(100_000).as_bytes(), 40).is_err());
    }
}
