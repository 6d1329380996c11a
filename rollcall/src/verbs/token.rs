//! `rollcall token`

use super::print;
use crate::settings;
use events_schema::TenantId;
use serde_json::json;
use service_kit::auth::local_token;
use std::time::Duration;

/// Prints a token of the local key pair
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The tenant that the token is for
    #[arg(long, value_name = "T")]
    tenant: TenantId,
    /// What it allows
    #[arg(long, default_value = "users:read users:write")]
    scope: String,
    /// How long it is good, in seconds
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=MAX_TTL))]
    ttl: u64,
    /// The OAuth client that it names
    #[arg(long, value_name = "C")]
    client_id: Option<String>,
    /// One JSON object instead of the bare token
    #[arg(long)]
    json: bool,
}

/// Ten years: far enough, and far from where the arithmetic of dates ends.
const MAX_TTL: u64 = 10 * 366 * 24 * 3600;

pub(crate) fn token(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let ttl = Duration::from_secs(args.ttl);
    let token = local_token(&settings, &args.tenant, &args.scope, ttl, args.client_id.as_deref())?;
    if args.json {
        return print(json!({"token": token, "expiresIn": args.ttl}));
    }
    print(token)
}
