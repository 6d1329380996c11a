//! The transit engine without HTTP: requests in, statuses and bodies out.

use crate::cipher::{self, NONCE_LEN};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::rand::rand_bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The relevant parts of a request.
pub(super) struct Request<'r> {
    pub(super) method: &'r str,
    pub(super) path: &'r str,
    pub(super) token: Option<&'r str>,
    pub(super) body: Value,
}

/// A status and a body.
pub(super) type Said = (u16, Value);

/// The engine at `transit/`, and its token. The token may not create keys through `encrypt`, so a
/// missing key is answered as a missing permission.
pub(super) struct Transit {
    pub(super) token: String,
    pub(super) is_sealed: bool,
    /// The reported lifetime of the token. It never expires by itself.
    pub(super) ttl: Option<u64>,
    pub(super) renewals: u64,
    pub(super) keys: BTreeMap<String, Key>,
}

/// A named key: its versions from 1 on.
pub(super) struct Key {
    versions: Vec<[u8; 32]>,
    min_decryption_version: u64,
}

type ItemResult = Result<Value, String>;

impl Transit {
    pub(super) fn new(token: &str) -> Self {
        Self { token: token.to_owned(), is_sealed: false, ttl: None, renewals: 0, keys: BTreeMap::new() }
    }

    pub(super) fn versions(&self, key: &str) -> Option<(u64, u64)> {
        self.keys.get(key).map(|key| (key.min_decryption_version, key.latest()))
    }

    pub(super) fn answer(&mut self, request: &Request<'_>) -> Said {
        if self.is_sealed {
            return errors(503, &["Vault is sealed"]);
        }
        if request.token != Some(&self.token) {
            return errors(403, &["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]);
        }
        if let Some(verb) = request.path.strip_prefix("/v1/auth/token/") {
            return self.about_token(request.method, verb);
        }
        let Some(path) = request.path.strip_prefix("/v1/transit/") else {
            let path = request.path.trim_start_matches("/v1/");
            return errors(404, &[&format!("no handler for route \"{path}\". route entry not found.")]);
        };
        let path: Vec<&str> = path.split('/').collect();
        match (request.method, path.as_slice()) {
            ("GET", ["keys", name]) => self.read(name),
            ("POST" | "PUT", ["keys", name]) => self.create(name, &request.body),
            ("POST" | "PUT", ["keys", name, "rotate"]) => self.rotate(name),
            ("POST" | "PUT", ["keys", name, "config"]) => self.configure(name, &request.body),
            ("POST" | "PUT", ["encrypt", name]) => match self.keys.get(*name) {
                Some(key) => batch(&request.body, "ciphertext", |item| key.encrypt(item)),
                None => errors(403, &["1 error occurred:\n\t* permission denied\n\n"]),
            },
            ("POST" | "PUT", ["decrypt", name]) => match self.keys.get(*name) {
                Some(key) => batch(&request.body, "plaintext", |item| key.decrypt(item)),
                None => errors(400, &["encryption key not found"]),
            },
            (_, ["keys" | "encrypt" | "decrypt", ..]) => errors(405, &["unsupported operation"]),
            _ => errors(404, &["unsupported path"]),
        }
    }

    fn about_token(&mut self, method: &str, verb: &str) -> Said {
        let (ttl, is_renewable) = (self.ttl.unwrap_or_default(), self.ttl.is_some());
        let expires = self.ttl.map(|_| "2030-01-01T00:00:00Z");
        match (method, verb) {
            ("GET", "lookup-self") => data(
                json!({ "ttl": ttl, "creation_ttl": 3_600, "renewable": is_renewable, "expire_time": expires }),
            ),
            ("POST" | "PUT", "renew-self") if is_renewable => {
                self.renewals += 1;
                (200, json!({ "auth": { "lease_duration": 3_600, "renewable": true } }))
            }
            ("POST" | "PUT", "renew-self") => errors(400, &["lease is not renewable"]),
            _ => errors(404, &["unsupported path"]),
        }
    }

    fn read(&self, name: &str) -> Said {
        self.keys.get(name).map_or_else(|| errors(404, &[]), |key| data(key.shown(name)))
    }

    fn create(&mut self, name: &str, body: &Value) -> Said {
        match body["type"].as_str() {
            None | Some("aes256-gcm96") => {}
            Some(other) => return errors(400, &[&format!("unknown key type {other}")]),
        }
        let new = || Key { versions: vec![random()], min_decryption_version: 1 };
        data(self.keys.entry(name.to_owned()).or_insert_with(new).shown(name))
    }

    fn rotate(&mut self, name: &str) -> Said {
        let Some(key) = self.keys.get_mut(name) else { return errors(400, &["key not found"]) };
        key.versions.push(random());
        data(key.shown(name))
    }

    fn configure(&mut self, name: &str, body: &Value) -> Said {
        let Some(key) = self.keys.get_mut(name) else {
            return errors(400, &[&format!("no existing key named {name} could be found")]);
        };
        if let Some(version) = body["min_decryption_version"].as_u64() {
            if version > key.latest() {
                let latest = key.latest();
                return errors(
                    400,
                    &[&format!(
                        "cannot set min decryption version of {version}, latest key version is {latest}"
                    )],
                );
            }
            key.min_decryption_version = version.max(1);
        }
        data(key.shown(name))
    }
}

impl Key {
    fn latest(&self) -> u64 {
        self.versions.len() as u64
    }

    fn shown(&self, name: &str) -> Value {
        let keys: BTreeMap<_, _> = (1..=self.latest()).map(|version| (version.to_string(), 0)).collect();
        json!({
            "name": name, "type": "aes256-gcm96", "derived": false, "exportable": false, "deletion_allowed": false,
            "allow_plaintext_backup": false, "imported_key": false, "auto_rotate_period": 0,
            "latest_version": self.latest(), "min_available_version": 0, "min_encryption_version": 0,
            "min_decryption_version": self.min_decryption_version, "keys": keys,
            "supports_encryption": true, "supports_decryption": true, "supports_derivation": true, "supports_signing": false,
        })
    }

    fn material(&self, version: u64) -> Option<&[u8; 32]> {
        self.versions.get(usize::try_from(version.checked_sub(1)?).ok()?)
    }

    fn encrypt(&self, item: &Value) -> ItemResult {
        let text = bytes(item, "plaintext")?;
        let associated = bytes(item, "associated_data")?;
        let nonce: [u8; NONCE_LEN] = random();
        let key = self.material(self.latest()).ok_or("no version")?;
        let sealed = cipher::seal(key, &nonce, &associated, &text).ok_or("too long")?;
        let ciphertext = STANDARD.encode([nonce.as_slice(), &sealed].concat());
        Ok(
            json!({ "ciphertext": format!("vault:v{}:{ciphertext}", self.latest()), "key_version": self.latest() }),
        )
    }

    fn decrypt(&self, item: &Value) -> ItemResult {
        let ciphertext = item["ciphertext"].as_str().filter(|text| !text.is_empty());
        let ciphertext = ciphertext.ok_or("missing ciphertext to decrypt")?;
        let rest = ciphertext.strip_prefix("vault:v").ok_or("invalid ciphertext: no prefix")?;
        let (version, text) = rest.split_once(':').ok_or("invalid ciphertext: wrong number of fields")?;
        let version: u64 = version
            .parse()
            .map_err(|_| "invalid ciphertext: version number could not be decoded".to_owned())?;
        if version > self.latest() {
            return Err("invalid ciphertext: version is too new".to_owned());
        }
        if version < self.min_decryption_version {
            return Err("ciphertext or signature version is disallowed by policy (too old)".to_owned());
        }
        let text = STANDARD.decode(text).map_err(|_| "invalid ciphertext: could not decode base64")?;
        let associated = bytes(item, "associated_data")?;
        let plaintext =
            self.open(version, &associated, &text).ok_or("cipher: message authentication failed")?;
        Ok(json!({ "plaintext": STANDARD.encode(plaintext) }))
    }

    fn open(&self, version: u64, associated: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = text.split_at_checked(NONCE_LEN)?;
        cipher::open(self.material(version)?, nonce, associated, text)
    }
}

/// The results of a batch, in order. If an item fails, the status is 400, but the others are still
/// processed.
fn batch(body: &Value, what: &str, item: impl Fn(&Value) -> ItemResult) -> Said {
    let Some(items) = body["batch_input"].as_array().filter(|items| !items.is_empty()) else {
        return errors(400, &["missing batch input to process"]);
    };
    let results: Vec<ItemResult> = items.iter().map(item).collect();
    let status = if results.iter().all(Result::is_ok) { 200 } else { 400 };
    let results: Vec<Value> = results
        .into_iter()
        .map(|result| result.unwrap_or_else(|error| json!({ what: "", "error": error, "reference": "" })))
        .collect();
    (status, data(json!({ "batch_results": results })).1)
}

/// A base64 member of an item. `None` if it is missing.
fn bytes(item: &Value, name: &str) -> Result<Vec<u8>, String> {
    let text = item[name].as_str().unwrap_or_default();
    STANDARD.decode(text).map_err(|_| "illegal base64 data at input byte 0".to_owned())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand_bytes(&mut bytes).expect("the system's randomness");
    bytes
}

fn data(data: Value) -> Said {
    let id = Uuid::new_v4();
    (
        200,
        json!({
            "request_id": id, "lease_id": "", "renewable": false, "lease_duration": 0, "data": data, "wrap_info": null, "warnings": null, "auth": null
        }),
    )
}

fn errors(status: u16, words: &[&str]) -> Said {
    (status, json!({ "errors": words }))
}

#[cfg(test)]
mod tests;
