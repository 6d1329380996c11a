//! Reads the key store with the master key, as documented and without the service's code, so that
//! tests can decrypt events.

use crate::{
    Record,
    cipher::{NONCE_LEN, derive, open, seal},
    raw_log::RawRecord,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sqlx::{PgPool, raw_sql};
use std::{collections::HashMap, fs, path::Path};
use uuid::Uuid;

/// A continuous backup of the key store, which no operator should have.
const BACKUP: &str = "\
CREATE TABLE public.destroyed_keys (LIKE rollcall_keys.data_keys);
CREATE FUNCTION public.keep_destroyed_key() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.destroyed_keys SELECT OLD.*;
    RETURN OLD;
END $$;
CREATE TRIGGER keep_destroyed_key BEFORE DELETE ON rollcall_keys.data_keys FOR EACH ROW EXECUTE FUNCTION public.keep_destroyed_key();";

/// The purpose of an event's own key.
const MESSAGE: &[u8] = b"rollcall/message/1";

/// Data keys by their ids.
#[derive(Debug, Default)]
pub struct Keyring(HashMap<String, Vec<u8>>);

/// A stored key: tenant, owner, id, wrapped bytes, id of the master key.
pub type WrappedKey = (String, Uuid, Uuid, Vec<u8>, String);

impl Keyring {
    /// From now on, keeps a copy of every destroyed key for [`Self::read`].
    ///
    /// # Panics
    /// The database refuses.
    pub async fn back_up(database: &PgPool) {
        raw_sql(BACKUP).execute(database).await.expect("a backup of the keys");
    }

    /// All existing and backed-up keys.
    ///
    /// # Panics
    /// They can't be read.
    pub async fn read(home: &Path, database: &PgPool) -> Self {
        let is_backed_up: bool =
            sqlx::query_scalar("SELECT to_regclass('public.destroyed_keys') IS NOT NULL")
                .fetch_one(database)
                .await
                .expect("an answer");
        let columns = "SELECT tenant_id, owner_id, id, wrapped, master_id FROM";
        let mut rows: Vec<WrappedKey> = rows(database, &format!("{columns} rollcall_keys.data_keys")).await;
        if is_backed_up {
            rows.extend(self::rows(database, &format!("{columns} public.destroyed_keys")).await);
        }
        let masters = masters(&home.join("master.key"));
        let key = |(tenant, owner, id, wrapped, master): WrappedKey| {
            let (nonce, ciphertext) = wrapped.split_at(NONCE_LEN);
            let key = open(&masters[&master], nonce, format!("{tenant}/{owner}/{id}").as_bytes(), ciphertext);
            (id.to_string(), key.expect("a key that its master key opens"))
        };
        Self(rows.into_iter().map(key).collect())
    }

    /// A copy of the stored keys.
    ///
    /// # Panics
    /// They can't be read.
    pub async fn copy(database: &PgPool) -> Vec<WrappedKey> {
        rows(database, "SELECT tenant_id, owner_id, id, wrapped, master_id FROM rollcall_keys.data_keys")
            .await
    }

    /// How many of these keys a master key in the file can unwrap.
    pub fn opens(home: &Path, keys: &[WrappedKey]) -> usize {
        let masters = masters(&home.join("master.key"));
        let opens = |(tenant, owner, id, wrapped, _): &&WrappedKey| {
            let (nonce, ciphertext) = wrapped.split_at(NONCE_LEN);
            let bound = format!("{tenant}/{owner}/{id}");
            masters.values().any(|master| open(master, nonce, bound.as_bytes(), ciphertext).is_some())
        };
        keys.iter().filter(opens).count()
    }

    /// Decrypts the personal parts of records whose keys exist.
    #[must_use]
    pub fn opened(&self, records: Vec<Record>) -> Vec<Record> {
        records.into_iter().map(|record| self.opened_one(&record).unwrap_or(record)).collect()
    }

    fn opened_one(&self, record: &Record) -> Option<Record> {
        let mut data: Value = serde_json::from_slice(&record.value).ok()?;
        let key = self.0.get(record.find("ce_keyid")?)?;
        let bound = bound(&record.key, record.header("ce_type"), record.header("ce_sequence"));
        data["personal"] = open_personal(key, &bound, &data["personal"])?;
        Some(Record { value: data.to_string().into_bytes(), ..record.clone() })
    }

    /// The same update as `user.updated.v2`, which only test builds know. `None` if the record is no
    /// update, or its key does not exist.
    #[must_use]
    pub fn as_second_version(&self, record: &RawRecord) -> Option<RawRecord> {
        const FIRST: &str = "user.updated.v1";
        const SECOND: &str = "user.updated.v2";
        let user = std::str::from_utf8(record.key.as_deref()?).ok()?;
        let sequence = record.header("ce_sequence").filter(|_| record.header("ce_type") == Some(FIRST))?;
        let key = self.0.get(record.header("ce_keyid")?)?;
        let data: Value = serde_json::from_slice(record.value.as_deref()?).ok()?;
        let mut personal = open_personal(key, &bound(user, FIRST, sequence), &data["personal"])?;
        if let Some(link) = personal.as_object_mut()?.remove("authenticationProvider") {
            personal["link"] = link;
        }
        let sealed = seal_personal(key, &bound(user, SECOND, sequence), &personal)?;
        let value = json!({ "sealed": sealed, "reason": "exercise" }).to_string();
        Some(RawRecord { value: Some(value.into_bytes()), ..record.with_header("ce_type", SECOND) })
    }
}

async fn rows(database: &PgPool, sql: &str) -> Vec<WrappedKey> {
    sqlx::query_as(sqlx::AssertSqlSafe(sql.to_owned())).fetch_all(database).await.expect("the keys")
}

fn masters(path: &Path) -> HashMap<String, Vec<u8>> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let master = |line: &str| {
        let (id, key) = line.split_once(' ').expect("a line is an id and a key");
        (id.to_owned(), STANDARD.decode(key).expect("a key is base64"))
    };
    lines.map(master).collect()
}

/// What the personal data of an event is bound to.
fn bound(user: &str, ce_type: &str, sequence: &str) -> String {
    format!("{user}\n{ce_type}\n{sequence}")
}

fn open_personal(key: &[u8], bound: &str, personal: &Value) -> Option<Value> {
    let bytes = |name: &str| STANDARD.decode(personal[name].as_str()?).ok();
    serde_json::from_slice(&open_event(key, bound, &bytes("nonce")?, &bytes("ciphertext")?)?).ok()
}

fn seal_personal(key: &[u8], bound: &str, personal: &Value) -> Option<Value> {
    let mut nonce = [0; 2 * NONCE_LEN];
    openssl::rand::rand_bytes(&mut nonce).ok()?;
    let (salt, own) = nonce.split_at(NONCE_LEN);
    let derived = derive(key, salt, MESSAGE)?;
    let ciphertext = seal(&derived, own, bound.as_bytes(), personal.to_string().as_bytes())?;
    Some(json!({ "nonce": STANDARD.encode(nonce), "ciphertext": STANDARD.encode(ciphertext) }))
}

/// Each event has its own key, derived with HKDF-SHA-256 from the user's key and the first half of
/// the nonce.
fn open_event(key: &[u8], bound: &str, nonce: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let (salt, nonce) = nonce.split_at_checked(NONCE_LEN)?;
    if nonce.is_empty() {
        return open(key, salt, bound.as_bytes(), ciphertext);
    }
    open(&derive(key, salt, MESSAGE)?, nonce, bound.as_bytes(), ciphertext)
}
