//! `rollcall dead-letters show`

use super::super::{print, table::cell};
use crate::{local::progress::say, printable::OneLine, settings};
use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use events_schema::millis;
use projector::{LetterId, WholeLetter};
use serde_json::{Map, Value, json};

/// Show a dead letter with its headers, key and value
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The dead letter, as `dead-letters list` shows it
    #[arg(value_name = "ID")]
    id: LetterId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn show(args: &Args) -> anyhow::Result<()> {
    let found = projector::dead_letter(&settings::load()?, &args.id).await?;
    let letter = found.with_context(|| format!("there is no dead letter {}", args.id))?;
    say("rollcall: this may contain personal data");
    if args.json { print(object(&letter)?) } else { print(text(&letter)) }
}

/// Adds bytes as text if they are text, else as base64 under another name.
fn bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let text = bytes.map(std::str::from_utf8);
    match (bytes, text) {
        (Some(bytes), Some(Err(_))) => object.insert(format!("{name}Base64"), STANDARD.encode(bytes).into()),
        (_, Some(Ok(text))) => object.insert(name.to_owned(), text.into()),
        _ => object.insert(name.to_owned(), Value::Null),
    };
}

fn object(letter: &WholeLetter) -> anyhow::Result<Value> {
    let mut object = serde_json::to_value(&letter.letter)?;
    let members = object.as_object_mut().context("a letter is an object")?;
    members.insert("recordTime".to_owned(), json!(letter.record_time.map(|time| millis(time).to_string())));
    let header = |(name, value): &(String, Vec<u8>)| {
        let mut header = Map::from_iter([("name".to_owned(), Value::from(name.as_str()))]);
        bytes(&mut header, "value", Some(value));
        Value::Object(header)
    };
    members.insert("headers".to_owned(), letter.headers.iter().map(header).collect());
    bytes(members, "key", letter.key.as_deref());
    match letter.value.as_deref().map(serde_json::from_slice::<Value>) {
        Some(Ok(value)) => drop(members.insert("value".to_owned(), value)),
        Some(Err(_)) => {
            members
                .insert("valueBase64".to_owned(), letter.value.as_deref().map(|v| STANDARD.encode(v)).into());
        }
        None => drop(members.insert("value".to_owned(), Value::Null)),
    }
    Ok(object)
}

fn text(letter: &WholeLetter) -> String {
    let WholeLetter { letter: short, record_time, headers, key, value } = letter;
    let plain = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("base64 {}", STANDARD.encode(bytes)),
    };
    let mut lines = vec![
        format!("id      {}", short.id),
        format!("reason  {}", OneLine(&short.reason)),
        format!("detail  {}", OneLine(&short.detail)),
        format!("tenant  {}", cell(short.tenant_id.as_ref())),
        format!("user    {}", cell(short.user_id)),
        format!("parked  {}", millis(short.parked_at)),
        format!("record  {}", cell(record_time.map(millis))),
        format!("key     {}", cell(key.as_deref().map(plain))),
    ];
    lines.extend(headers.iter().map(|(name, value)| format!("header  {}: {}", OneLine(name), plain(value))));
    let json = |value: &[u8]| serde_json::from_slice::<Value>(value).ok().map(|value| format!("{value:#}"));
    let value = value
        .as_deref()
        .map(|value| json(value).unwrap_or_else(|| format!("base64 {}", STANDARD.encode(value))));
    lines.push(format!("value   {}", cell(value)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use projector::DeadLetter;
    use time::OffsetDateTime;

    #[test]
    fn what_others_wrote_looks_like_no_line_of_ours() {
        let letter = DeadLetter {
            id: "users:0:1".to_owned(),
            topic: "users".to_owned(),
            partition: 0,
            offset: 1,
            tenant_id: None,
            user_id: None,
            reason: "bad-type".to_owned(),
            detail: "it is \u{1b}[2J\nkey     acme".to_owned(),
            parked_at: OffsetDateTime::UNIX_EPOCH,
            size: 0,
        };
        let headers = vec![("\u{1b}]0;x\u{7}\nid      users:0:2".to_owned(), b"\x1b[2J".to_vec())];
        let letter =
            WholeLetter { letter, record_time: None, headers, key: Some(b"a\nb".to_vec()), value: None };
        let text = text(&letter);
        assert_eq!(text.lines().count(), 10, "{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}
