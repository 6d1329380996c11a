//! `rollcall env`

use super::print;
use crate::{local::env_file, settings};
use serde_json::{Map, Value};
use service_kit::settings::Settings;

/// Print the addresses of the service and its stores as KEY=value lines
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(crate) fn env(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let known = known(&settings);
    if known.is_empty() {
        anyhow::bail!(settings::not_running(
            &settings.home,
            "none of DATABASE_URL, REDIS_URL and KAFKA_BROKERS is set"
        ));
    }
    if args.json {
        let object: Map<String, Value> =
            known.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        return print(Value::Object(object));
    }
    known.iter().try_for_each(|(name, value)| print(format_args!("{name}={value}")))
}

/// The known addresses. The service's own address has a default, so it means nothing if no store is
/// known.
fn known(settings: &Settings) -> Vec<(&'static str, String)> {
    let Settings { url, database_url, redis_url, kafka_brokers, .. } = settings;
    let is_known = [url, database_url, redis_url, kafka_brokers].into_iter().any(Option::is_some);
    if is_known { env_file::addresses(settings, settings.addr) } else { Vec::new() }
}
