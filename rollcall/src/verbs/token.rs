//! `rollcall token`

use super::print;
use crate::settings;
use events_schema::TenantId;
use serde_json::json;
use service_kit::auth::local_token;
use std::time::Duration;

/// Print a token signed with the local key pair
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The token's tenant
    #[arg(long, value_name = "T")]
    tenant: TenantId,
    /// The token's scopes
    #[arg(long, default_value = "users:read users:write")]
    scope: String,
    /// The token's lifetime in seconds
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=MAX_TTL))]
    ttl: u64,
    /// The token's OAuth client
    #[arg(long, value_name = "C")]
    client_id: Option<String>,
    /// Print one JSON object instead of the bare token
    #[arg(long)]
    json: bool,
}

/// Ten years, so that the arithmetic of dates can't overflow.
const MAX_TTL: u64 = 10 * 366 * 24 * 3600;

pub(crate) fn token(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let ttl = Duration::from_secs(args.ttl);
    let token = local_token(&settings, &args.tenant, &args.scope, ttl, args.client_id.as_deref())?;
    if args.json {
        return print(json!({"token": token, "expiresIn": args.ttl}));
    }
    print(token)
}
