//! A record as a line of JSON. Bytes are base64, since keys, headers and values may be anything.

use crate::RawRecord;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Prints a record.
pub(super) fn print(record: &RawRecord) -> String {
    let headers: Vec<Value> =
        record.headers.iter().map(|(name, value)| json!([name, encoded(value.as_deref())])).collect();
    let line = json!({
        "topic": record.topic, "partition": record.partition, "offset": record.offset, "time": record.time,
        "key": encoded(record.key.as_deref()), "headers": headers, "value": encoded(record.value.as_deref()),
    });
    line.to_string()
}

/// Parses a line.
///
/// # Panics
/// It is no record.
pub(super) fn parse(line: &str) -> RawRecord {
    let line: Value = serde_json::from_str(line).expect("a line is JSON");
    let number = |name: &str| line[name].as_i64().unwrap_or_else(|| panic!("no {name}: {line}"));
    let header = |pair: &Value| (pair[0].as_str().expect("a name").to_owned(), decoded(&pair[1]));
    RawRecord {
        topic: line["topic"].as_str().expect("a topic").to_owned(),
        partition: i32::try_from(number("partition")).expect("a partition"),
        offset: number("offset"),
        time: number("time"),
        key: decoded(&line["key"]),
        headers: line["headers"].as_array().expect("headers").iter().map(header).collect(),
        value: decoded(&line["value"]),
    }
}

/// Bytes as base64. `None` is null.
pub(super) fn encoded(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| STANDARD.encode(bytes).into())
}

/// The reverse of [`encoded`].
pub(super) fn decoded(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| STANDARD.decode(text).expect("bytes are base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_every_byte() {
        let record = RawRecord {
            topic: "users.events".to_owned(),
            partition: 3,
            offset: 7,
            time: 1_700_000_000_123,
            key: Some(b"\xff\0".to_vec()),
            headers: vec![
                ("a".to_owned(), None),
                ("a".to_owned(), Some(vec![])),
                (String::new(), Some(vec![0xfe])),
            ],
            value: None,
        };
        assert_eq!(parse(&print(&record)), record);
    }
}
