//! What `rollcall run` prints when everything is ready: the address, and commands to try.

use super::print;
use crate::local::env_file::url;
use events_schema::TenantId;
use serde_json::json;
use service_kit::{
    auth::local_token,
    settings::{Jwks, Settings},
};
use std::{net::SocketAddr, time::Duration};

/// The tenant that the token is for.
const TENANT: &str = "demo";
const TTL: Duration = Duration::from_secs(24 * 3600);

/// The address, and a token if the local key pair is used.
pub(crate) struct Welcome {
    url: String,
    token: Option<String>,
}

impl Welcome {
    pub(crate) fn new(settings: &Settings, listener: SocketAddr) -> anyhow::Result<Self> {
        let tenant: TenantId = TENANT.parse()?;
        let is_local = matches!(settings.jwt.jwks, Jwks::Local);
        let token = is_local.then(|| local_token(settings, &tenant, "users:read users:write", TTL, None));
        Ok(Self { url: url(settings, listener), token: token.transpose()? })
    }

    pub(crate) fn print(&self, is_json: bool) -> anyhow::Result<()> {
        let Self { url, token } = self;
        if is_json {
            return print(json!({"ready": url, "token": token}));
        }
        print(format_args!("ready: {url}"))?;
        match token {
            Some(token) => print(format_args!("\n{}", example(url, token))),
            None => print("\nTokens come from your identity provider."),
        }
    }
}

/// Commands that work when pasted one by one.
fn example(url: &str, token: &str) -> String {
    let users = format!("{url}/core/v1/users");
    let authorization = format!("-H 'Authorization: Bearer {token}'");
    let json = "-H 'Content-Type: application/json'";
    let created = r#"{"claims":{"name":"Ada Lovelace","email":"ada@example.com"}}"#;
    let sought = r#"{"claims":{"email":"ada@example.com"}}"#;
    format!(
        "A token for the tenant {TENANT}, valid for a day:\n{token}\n\nCreate a user, search for it, list all users:\n\
         curl -sS -w '\\n' -X POST {users} {authorization} {json} -d '{created}'\n\
         curl -sS -w '\\n' -X POST {users}/search {authorization} {json} -d '{sought}'\n\
         curl -sS -w '\\n' {users} {authorization}\n"
    )
}
