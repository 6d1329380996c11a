//! `rollcall projection query`

use super::super::super::{
    print,
    table::{Table, cell},
    words::number,
};
use crate::{local::progress::say, settings};
use events_schema::TenantId;
use serde_json::{Map, Value};

/// Ask a projection beside the users about a tenant
///
/// What the answer contains depends on the projection. If it is behind the users, a line on stderr
/// says by how many offsets, and so does --json.
#[derive(clap::Args)]
pub(in super::super) struct Args {
    /// The projection
    #[arg(value_name = "NAME", value_parser = super::known())]
    projection: String,
    /// The tenant
    #[arg(long)]
    tenant: TenantId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(in super::super) async fn query(args: &Args) -> anyhow::Result<()> {
    let answer = projector::projections::query(&settings::load()?, &args.projection, &args.tenant).await?;
    if args.json {
        return print(serde_json::to_string(&answer)?);
    }
    if let Some(lag) = answer.lag.filter(|lag| *lag > 0) {
        say(format_args!(
            "rollcall: this lacks {} of the log. A projection under load is about a second late; `rollcall projection status --projection {}` \
             shows how far it is",
            number(lag, "offset"),
            args.projection
        ));
    }
    match rows(&answer.result) {
        Some(rows) if rows.is_empty() => print(format_args!("nothing about tenant {}", args.tenant)),
        Some(rows) => print(table(&rows)),
        None => print(serde_json::to_string_pretty(&answer.result)?),
    }
}

/// The rows of a list of flat objects.
fn rows(result: &Value) -> Option<Vec<&Map<String, Value>>> {
    let is_flat =
        |row: &&Map<String, Value>| row.values().all(|value| !value.is_object() && !value.is_array());
    result.as_array()?.iter().map(|row| row.as_object().filter(is_flat)).collect()
}

fn table(rows: &[&Map<String, Value>]) -> Table {
    let names: Vec<&String> = rows.first().map(|row| row.keys().collect()).unwrap_or_default();
    let mut table = Table::with_columns(names.iter().map(|name| (*name).clone()).collect());
    for row in rows {
        table.add(names.iter().map(|name| text(row.get(*name))).collect());
    }
    table
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        other => cell(other.filter(|value| !value.is_null())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_of_flat_objects_is_a_table() {
        let result = json!([{ "day": "2026-11-30", "n": 2 }, { "day": null, "n": 10 }]);
        let printed = table(&rows(&result).unwrap()).to_string();
        assert_eq!(printed, "day          n\n2026-11-30   2\n-           10");
        for other in [json!({ "n": 1 }), json!([1]), json!([{ "n": [] }])] {
            assert!(rows(&other).is_none(), "{other}");
        }
    }
}
