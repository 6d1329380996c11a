//! Keys and tokens for tests.

use crate::settings::{Jwks, JwtSettings};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode, get_current_timestamp,
    jwk::{AlgorithmParameters, Jwk},
};
use openssl::{
    ec::{EcGroup, EcKey},
    nid::Nid,
    pkey::PKey,
    rsa::Rsa,
};
use serde_json::{Value, json};

/// A signing key for a test.
pub(crate) struct TestKey {
    algorithm: Algorithm,
    kid: Option<&'static str>,
    signing: EncodingKey,
}

impl TestKey {
    pub(crate) fn new(algorithm: Algorithm, kid: Option<&'static str>) -> Self {
        super::use_openssl();
        let signing = match algorithm {
            Algorithm::RS256 => {
                EncodingKey::from_rsa_der(&Rsa::generate(2048).unwrap().private_key_to_der().unwrap())
            }
            Algorithm::ES256 => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
                let pair = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
                EncodingKey::from_ec_der(&pair.private_key_to_pkcs8().unwrap())
            }
            Algorithm::EdDSA => {
                let pair = PKey::generate_ed25519().unwrap();
                EncodingKey::from_ed_der(&pair.private_key_to_pkcs8().unwrap())
            }
            other => panic!("no test keys for {other:?}"),
        };
        Self { algorithm, kid, signing }
    }

    /// The public half, as in a key set.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signing, self.algorithm).unwrap();
        if let AlgorithmParameters::EllipticCurve(key) = &mut jwk.algorithm {
            (key.x, key.y) = (padded(&key.x), padded(&key.y));
        }
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

/// A coordinate in its full length, as RFC 7518 requires. The library drops leading zeros.
fn padded(coordinate: &str) -> String {
    let digits = URL_SAFE_NO_PAD.decode(coordinate).unwrap();
    URL_SAFE_NO_PAD.encode([vec![0; 32 - digits.len()], digits].concat())
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
