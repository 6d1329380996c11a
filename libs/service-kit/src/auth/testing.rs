//! Keys and tokens for tests.

use crate::settings::{Jwks, JwtSettings};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use serde_json::{Value, json};

/// A signing key for a test.
pub(crate) struct TestKey {
    algorithm: Algorithm,
    kid: Option<&'static str>,
    signing: EncodingKey,
}

impl TestKey {
    pub(crate) fn new(algorithm: Algorithm, kid: Option<&'static str>) -> Self {
        let signing = match algorithm {
            Algorithm::RS256 => {
                let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
                let der = AsDer::<Pkcs8V1Der>::as_der(&pair).unwrap();
                let body = STANDARD.encode(der.as_ref());
                let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
                EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
            }
            Algorithm::ES256 => {
                let rng = SystemRandom::new();
                let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
                EncodingKey::from_ec_der(der.as_ref())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().unwrap();
                EncodingKey::from_ed_der(AsDer::<Pkcs8V1Der>::as_der(&pair).unwrap().as_ref())
            }
            other => panic!("no test keys for {other:?}"),
        };
        Self { algorithm, kid, signing }
    }

    /// The public half, as in a key set.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signing, self.algorithm).unwrap();
        jwk.common.key_id = self.kid.map(str::to_owned);
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: self.kid.map(str::to_owned), ..Header::new(self.algorithm) };
        self.sign_as(&header, claims)
    }

    pub(crate) fn sign_as(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.signing).unwrap()
    }
}

/// A key set document.
pub(crate) fn document(keys: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "keys": keys })).unwrap()
}

/// The claims of a valid token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "issuer",
        "aud": "rollcall",
        "exp": get_current_timestamp() + 600,
        "tenant_id": "acme",
        "scope": "openid users:read users:write",
        "client_id": "console",
    })
}

/// Valid claims with one of them replaced, or removed by `null`.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let all = claims.as_object_mut().unwrap();
    match value {
        Value::Null => all.remove(name),
        value => all.insert(name.to_owned(), value),
    };
    claims
}

pub(crate) fn jwt_settings(jwks: Jwks) -> JwtSettings {
    JwtSettings {
        jwks,
        issuer: "issuer".to_owned(),
        audience: "rollcall".to_owned(),
        tenant_claim: "tenant_id".to_owned(),
    }
}
