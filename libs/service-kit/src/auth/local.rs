//! The local key pair: an Ed25519 key under `$ROLLCALL_HOME`, for machines without an identity
//! provider.

use crate::{
    atomic_file,
    settings::{Jwks, Settings},
};
use anyhow::{Context as _, anyhow, bail};
use events_schema::TenantId;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode, get_current_timestamp,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use openssl::pkey::{Id, PKey};
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};
use uuid::Uuid;

/// The key pair and the path of its public half.
pub(super) struct LocalKey {
    signing: EncodingKey,
    id: String,
    pub(super) jwks_path: PathBuf,
}

/// Issues a token signed with the local key pair (EdDSA).
///
/// # Errors
/// The settings name another key set, no service has created a key pair yet, or it can't be read.
pub fn local_token(
    settings: &Settings,
    tenant: &TenantId,
    scope: &str,
    ttl: Duration,
    client_id: Option<&str>,
) -> anyhow::Result<String> {
    let jwt = &settings.jwt;
    if !matches!(jwt.jwks, Jwks::Local) {
        bail!(
            "tokens come from another issuer (ROLLCALL_JWKS_URL or ROLLCALL_JWKS_FILE is set): get one there"
        );
    }
    let key = existing(&settings.home)?;
    let now = get_current_timestamp();
    let claims = json!({
        "iss": jwt.issuer,
        "aud": jwt.audience,
        "iat": now,
        "exp": now.saturating_add(ttl.as_secs()),
        "jti": Uuid::now_v7(),
        "scope": scope,
    });
    let Value::Object(mut claims) = claims else { bail!("claims are an object") };
    claims.extend(client_id.map(|id| ("client_id".to_owned(), id.into())));
    claims.insert(jwt.tenant_claim.clone(), tenant.as_str().into());
    key.sign(&claims)
}

impl LocalKey {
    fn sign(&self, claims: &Map<String, Value>) -> anyhow::Result<String> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        Ok(encode(&header, claims, &self.signing)?)
    }
}

/// Loads the pair from `home`, creating it first if there is none, and writes its public half
/// beside it.
pub(super) fn ensure(home: &Path) -> anyhow::Result<LocalKey> {
    let key_path = home.join("jwt.key");
    if !key_path.exists() {
        create(&key_path).with_context(|| format!("{} can't be created", key_path.display()))?;
    }
    load(home)
}

/// Loads the pair that a service created in `home`. Does not create one: no running service would
/// trust it.
fn existing(home: &Path) -> anyhow::Result<LocalKey> {
    let key_path = home.join("jwt.key");
    match key_path.try_exists() {
        Ok(true) => load(home),
        Ok(false) => bail!(
            "there is no key pair in {}: a service creates it when it first starts there. Run this where \
             `make run` was started, or set ROLLCALL_HOME to the home of the running service",
            std::path::absolute(home).as_deref().unwrap_or(home).display()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("the local key {} can't be used", key_path.display()))
        }
    }
}

fn load(home: &Path) -> anyhow::Result<LocalKey> {
    super::use_openssl();
    let key_path = home.join("jwt.key");
    let signing =
        read(&key_path).with_context(|| format!("the local key {} can't be used", key_path.display()))?;
    let mut public = Jwk::from_encoding_key(&signing, Algorithm::EdDSA)?;
    let id = public.thumbprint(ThumbprintHash::SHA256)?;
    public.common.key_id = Some(id.clone());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    let jwks_path = home.join("jwks.json");
    publish(&jwks_path, &serde_json::to_vec_pretty(&json!({ "keys": [public] }))?)?;
    Ok(LocalKey { signing, id, jwks_path })
}

/// Creates a key. If two processes do so at once, one wins and both use its key.
fn create(path: &Path) -> anyhow::Result<()> {
    let home = path.parent().ok_or_else(|| anyhow!("no directory"))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    let pem = PKey::generate_ed25519()?.private_key_to_pem_pkcs8()?;
    match atomic_file::create(path, &pem, 0o600) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => Ok(created?),
    }
}

fn read(path: &Path) -> anyhow::Result<EncodingKey> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("others may read it (mode {:03o}): chmod 600 {}", mode & 0o777, path.display());
    }
    let pair = PKey::private_key_from_pem(&fs::read(path)?);
    let der =
        pair.ok().filter(|pair| pair.id() == Id::ED25519).and_then(|pair| pair.private_key_to_pkcs8().ok());
    // The underlying error is not shown: it could quote the file.
    let der = der.context("it is not an Ed25519 key in PKCS#8 PEM form")?;
    Ok(EncodingKey::from_ed_der(&der))
}

/// Writes a file, unless it already has this content.
fn publish(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    atomic_file::replace(path, content, 0o644).with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_however_many_ask() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/er");
        let ids: Vec<String> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| ensure(&path).unwrap().id)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
        let mut files: Vec<_> = fs::read_dir(&path).unwrap().map(|f| f.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["jwks.json", "jwt.key"]);
        assert_eq!(fs::metadata(path.join("jwt.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_token_makes_no_key() {
        let home = tempfile::tempdir().unwrap();
        let error = existing(home.path()).err().unwrap().to_string();
        assert!(error.contains(home.path().to_str().unwrap()) && error.contains("ROLLCALL_HOME"), "{error}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        let made = ensure(home.path()).unwrap();
        assert_eq!(existing(home.path()).unwrap().id, made.id);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        ensure(home.path()).unwrap();
        let key = home.path().join("jwt.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let error = format!("{:#}", ensure(home.path()).err().unwrap());
        assert!(error.contains("chmod 600"), "{error}");
    }
}
