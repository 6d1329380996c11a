//! Signs tokens that `rollcall token` would not issue, with the local key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use openssl::pkey::PKey;
use serde_json::{Map, Value, json};
use std::{fs, path::Path};
use time::OffsetDateTime;

/// A token's claims.
pub type Claims = Map<String, Value>;

/// Signs with the local key of a home.
pub struct Signer {
    key: EncodingKey,
    kid: Option<String>,
    /// The public key in `jwks.json`.
    pub public: String,
}

impl Signer {
    /// The signer of a home.
    ///
    /// # Panics
    /// The home has no key.
    pub fn of(home: &Path) -> Self {
        let pem = fs::read(home.join("jwt.key")).expect("jwt.key");
        let pair = PKey::private_key_from_pem(&pem).expect("a private key");
        let der = pair.private_key_to_pkcs8().expect("its PKCS#8 form");
        let jwks: Value =
            serde_json::from_slice(&fs::read(home.join("jwks.json")).expect("jwks.json")).expect("JSON");
        let jwk = &jwks["keys"][0];
        // An error says that it is installed already.
        let _ = jsonwebtoken_openssl::install_default();
        Self {
            key: EncodingKey::from_ed_der(&der),
            kid: jwk["kid"].as_str().map(str::to_owned),
            public: jwk["x"].as_str().expect("an OKP key").to_owned(),
        }
    }

    /// The claims of a valid token.
    pub fn claims(&self, tenant: &str) -> Claims {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = json!({
            "iss": "rollcall-local", "aud": "rollcall", "sub": "test", "tenant_id": tenant,
            "scope": "users:read users:write", "iat": now, "exp": now + 3600,
        });
        claims.as_object().expect("an object").clone()
    }

    /// A token with these claims.
    ///
    /// # Panics
    /// It can't be signed.
    pub fn sign(&self, claims: &Claims) -> String {
        let header = Header { kid: self.kid.clone(), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &self.key).expect("a signed token")
    }

    /// A valid token, changed by `change`.
    pub fn with(&self, tenant: &str, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = self.claims(tenant);
        change(&mut claims);
        self.sign(&claims)
    }

    /// A token with the algorithm `none`.
    pub fn unsigned(&self, claims: &Claims) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(json!({ "alg": "none", "typ": "JWT" })), part(Value::Object(claims.clone())))
    }

    /// A token signed with the public key as a shared secret.
    ///
    /// # Panics
    /// It can't be signed.
    pub fn symmetric(&self, claims: &Claims) -> String {
        let header = Header { kid: self.kid.clone(), ..Header::new(Algorithm::HS256) };
        let secret = URL_SAFE_NO_PAD.decode(&self.public).expect("base64url");
        encode(&header, claims, &EncodingKey::from_secret(&secret)).expect("a signed token")
    }
}
