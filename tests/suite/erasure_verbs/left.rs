//! Proofs and audits find what is left of a deleted user in any place, and missing keys of living
//! users.

use super::bench::{Bench, has, marker};
use serde_json::json;
use tests::{Foreign, Record, Service, Stack, until};
use uuid::Uuid;

/// Something left behind, and how to remove it. `{k}` is `<tenant>/<user>`, `{t}` the tenant, `{u}`
/// the user.
struct Leftover {
    kind: &'static str,
    put: &'static str,
    take: &'static str,
}

const LEFTOVERS: [Leftover; 10] = [
    Leftover {
        kind: "key",
        put: "INSERT INTO rollcall_keys.data_keys SELECT * FROM public.destroyed_keys WHERE owner_id = '{u}'",
        take: "ALTER TABLE rollcall_keys.data_keys DISABLE TRIGGER keep_destroyed_key; \
            DELETE FROM rollcall_keys.data_keys WHERE owner_id = '{u}'; \
            ALTER TABLE rollcall_keys.data_keys ENABLE TRIGGER keep_destroyed_key",
    },
    Leftover {
        kind: "userRow",
        put: "INSERT INTO generation_1.users (tenant_id, id, version, created_at, claims, body, creation_digest, log_partition, log_offset) \
            VALUES ('{t}', '{u}', 1, now(), '{}', '{\"id\":1}', '', 0, 0)",
        take: "DELETE FROM generation_1.users WHERE id = '{u}'",
    },
    Leftover {
        kind: "postings",
        put: "INSERT INTO generation_1.postings VALUES (7, now(), '{u}')",
        take: "DELETE FROM generation_1.postings WHERE term = 7",
    },
    Leftover {
        kind: "credentials",
        put: "INSERT INTO generation_1.credentials VALUES ('{t}', '{u}', '{u}', now(), false, 'valid', NULL, 0, 0)",
        take: "DELETE FROM generation_1.credentials WHERE user_id = '{u}'",
    },
    Leftover {
        kind: "deadLetters",
        put: "INSERT INTO generation_1.dead_letters (topic, partition, log_offset, tenant_id, user_id, value, headers, reason) \
            VALUES ('credentials', 0, 99, '{t}', '{u}', 'x', '[]', 'r')",
        take: "DELETE FROM generation_1.dead_letters WHERE log_offset = 99",
    },
    // One without an owner, because its record is in the wrong partition.
    Leftover {
        kind: "deadLetters",
        put: "INSERT INTO generation_1.dead_letters (topic, partition, log_offset, key, value, headers, reason) \
            VALUES ('credentials', 0, 99, convert_to('{k}', 'UTF8'), 'x', '[]', 'r')",
        take: "DELETE FROM generation_1.dead_letters WHERE log_offset = 99",
    },
    Leftover {
        kind: "deadLetters",
        put: "INSERT INTO generation_1.dead_letters (topic, partition, log_offset, value, headers, reason) \
            VALUES ('credentials', 0, 99, 'x', '[[\"ce_tenantid\", \"{t}\"], [\"ce_subject\", \"{u}\"]]', 'r')",
        take: "DELETE FROM generation_1.dead_letters WHERE log_offset = 99",
    },
    // Readers of the log ignore the case of a header's name, and of a UUID.
    Leftover {
        kind: "deadLetters",
        put: "INSERT INTO generation_1.dead_letters (topic, partition, log_offset, value, headers, reason) \
            VALUES ('credentials', 0, 99, 'x', jsonb_build_array(jsonb_build_array('Ce_TenantId', '{t}'), \
                jsonb_build_array('CE_SUBJECT', upper('{u}'))), 'r')",
        take: "DELETE FROM generation_1.dead_letters WHERE log_offset = 99",
    },
    Leftover {
        kind: "deadLetters",
        put: "INSERT INTO generation_1.dead_letters (topic, partition, log_offset, key, value, headers, reason) \
            VALUES ('credentials', 0, 99, convert_to('{t}/' || upper('{u}'), 'UTF8'), 'x', '[]', 'r')",
        take: "DELETE FROM generation_1.dead_letters WHERE log_offset = 99",
    },
    Leftover {
        kind: "pendingSteps",
        put: "INSERT INTO rollcall.erasures (tenant_id, user_id, step) VALUES ('{t}', '{u}', 'cache')",
        take: "DELETE FROM rollcall.erasures",
    },
];

pub async fn everything_left_is_found(stack: &'static Stack) {
    let mut bench = Bench::start(stack, &[]).await;
    let (gone, living) = (bench.user(&marker()).await, bench.user(&marker()).await);
    say_again(&bench, &gone).await;
    bench.api.delete(&gone).await.expect(204);
    let parked = parked_user(&bench).await;
    // The projector would repair some of this.
    bench.deployment.stop(Service::Projector);
    is_clean(&bench, &gone);
    for leftover in LEFTOVERS {
        let filled = |sql: &str| filled(&bench, sql, &gone);
        bench.sql(&filled(leftover.put)).await;
        is_found(&bench, &gone, leftover.kind);
        if leftover.kind == "key" {
            is_found(&bench, &gone, "openedEvents");
            let events = &bench.proof(&gone, 1)["events"];
            assert_eq!((&events["sealed"], &events["opened"]), (&json!(4), &json!(4)));
        }
        bench.sql(&filled(leftover.take)).await;
        is_clean(&bench, &gone);
    }
    a_blanked_row_is_nothing(&bench, &gone).await;
    a_cached_body_is_found(&bench, &gone).await;
    a_key_in_memory_is_found(&bench, &gone).await;
    a_missing_key_is_reported(&bench, &living).await;
    let proof = bench.proof(&parked, 1);
    assert_eq!(proof["verdict"], "parked");
    assert!(has(&proof, "unclearRecords") && has(&proof, "deadLetters"), "{proof}");
    bench.deployment.launch(Service::Projector);
    bench.deployment.ready(Service::Projector).await;
    an_event_that_was_never_sealed_is_found(&bench).await;
    what_is_no_credential_fact_is_found(&bench, &gone).await;
    events_that_wait_for_a_key_are_loud(&bench, &living).await;
}

/// Two copies of a user's events without effect: one names another key, one another version than it
/// is sealed with.
async fn say_again(bench: &Bench, user: &str) {
    let key = format!("{}/{user}", bench.api.tenant);
    let mut records = bench.deployment.topic("users.events").await;
    records.retain(|record| record.key == key);
    let copy = |record: &Record, name, value: &str| {
        let headers = ["ce_sequence", "ce_keyid"].map(|name| (name, record.header(name)));
        let copy = Foreign::event(&key, record.header("ce_type"), record.value.clone());
        headers.into_iter().fold(copy, |copy, (name, value)| copy.header(name, value)).header(name, value)
    };
    let other = Uuid::new_v4().to_string();
    let copies = [copy(&records[0], "ce_keyid", &other), copy(&records[1], "ce_sequence", "1")];
    bench.deployment.append("users.events", &copies).await;
}

fn filled(bench: &Bench, sql: &str, user: &str) -> String {
    let key = format!("{}/{user}", bench.api.tenant);
    sql.replace("{k}", &key).replace("{t}", &bench.api.tenant).replace("{u}", user)
}

#[track_caller]
fn is_clean(bench: &Bench, user: &str) {
    assert_eq!(bench.proof(user, 0)["verdict"], "erased");
    bench.audit(0);
}

#[track_caller]
fn is_found(bench: &Bench, user: &str, kind: &str) {
    let proof = bench.proof(user, 1);
    assert!(has(&proof, kind) && proof["verdict"] != "erased", "{kind}: {proof}");
    let audit = bench.audit(1);
    assert!(has(&audit, kind), "{kind}: {audit}");
    let listed = audit["findings"].as_array().unwrap();
    let of_user = |found: &&serde_json::Value| found["kind"] == kind && found["userId"] == user;
    assert!(listed.iter().any(|found| of_user(&found)), "{kind}: {audit}");
}

/// A user with an unreadable record, which may contain anything.
async fn parked_user(bench: &Bench) -> String {
    let id = bench.user(&marker()).await;
    let key = format!("{}/{id}", bench.api.tenant);
    let poison = Foreign::event(&key, "user.updated.v1", "not json").header("ce_sequence", "3");
    bench.deployment.append("users.events", &[poison]).await;
    until("it is parked", async || {
        let letters = bench.deployment.cli.run(&["dead-letters", "list", "--json"]).expect(0);
        letters.stdout.contains(&id).then_some(())
    })
    .await;
    id
}

/// A row as a delete leaves it in a generation that is not live.
async fn a_blanked_row_is_nothing(bench: &Bench, user: &str) {
    let put = "INSERT INTO generation_1.users (tenant_id, id, version, created_at, claims, body, creation_digest, log_partition, \
        log_offset) VALUES ('{t}', '{u}', 1, now(), '{}', '', '', 0, 0); \
        CREATE SCHEMA generation_7; CREATE TABLE generation_7.users AS TABLE generation_1.users; \
        CREATE TABLE generation_7.postings AS TABLE generation_1.postings; \
        CREATE TABLE generation_7.credentials AS TABLE generation_1.credentials; \
        CREATE TABLE generation_7.dead_letters AS TABLE generation_1.dead_letters; \
        CREATE TABLE generation_7.tombstones AS TABLE generation_1.tombstones; \
        DELETE FROM generation_1.users WHERE id = '{u}'; DELETE FROM generation_7.users WHERE id <> '{u}'";
    bench.sql(&filled(bench, put, user)).await;
    let proof = bench.proof(user, 0);
    let other = json!({ "generation": 7, "state": null, "users": 0, "blanked": 1, "postings": 0, "credentials": 0, "deadLetters": 0,
        "isParked": false, "isTombstoneThere": true });
    assert_eq!(proof["generations"][1], other, "tables of an unregistered generation are searched");
    bench.audit(0);
    bench.sql("UPDATE generation_7.users SET subject_id = 's'").await;
    is_found(bench, user, "userRow");
    bench.sql("DROP SCHEMA generation_7 CASCADE").await;
}

async fn a_cached_body_is_found(bench: &Bench, user: &str) {
    let mut redis = redis::Client::open(bench.redis.url()).unwrap().get_connection().unwrap();
    let prefix = &bench.deployment.prefix;
    // Bodies of a dropped generation, in any partition.
    let key = format!("rollcall:{prefix}{{2}}:41:{}/{user}", bench.api.tenant);
    let mut set = |value: &str| redis::cmd("SET").arg(&key).arg(value).exec(&mut redis).unwrap();
    set("2\n{\"id\":1}");
    is_found(bench, user, "cachedBodies");
    set("3\n");
    is_clean(bench, user);
}

async fn a_missing_key_is_reported(bench: &Bench, user: &str) {
    bench.sql(&filled(bench, "DELETE FROM rollcall_keys.data_keys WHERE owner_id = '{u}'", user)).await;
    let audit = bench.audit(1);
    assert!(has(&audit, "missingKey") && audit["findings"][0]["userId"] == user, "{audit}");
    let said = bench.deployment.cli.run(&["erasure", "audit"]).expect(1);
    assert!(said.stdout.contains("living users whose key is missing"), "{said:?}");
    bench.sql(&filled(bench, LEFTOVERS[0].put, user)).await;
    bench.audit(0);
}

/// A running process has not confirmed that it dropped the key.
async fn a_key_in_memory_is_found(bench: &Bench, user: &str) {
    let put = "INSERT INTO rollcall_keys.caches VALUES ('{u}', now() + interval '1 hour'); \
        INSERT INTO rollcall_keys.dropping VALUES ('{t}', '{u}', '{u}')";
    bench.sql(&filled(bench, put, user)).await;
    assert!(has(&bench.proof(user, 1), "keyInMemory"));
    bench.sql(&filled(bench, "DELETE FROM rollcall_keys.caches WHERE id = '{u}'", user)).await;
    is_clean(bench, user);
}

/// The contract of issuing systems only covers facts.
async fn what_is_no_credential_fact_is_found(bench: &Bench, user: &str) {
    let key = format!("{}/{user}", bench.api.tenant);
    let garbage = Foreign::event(&key, "credential.issued.v1", "not json");
    let (partition, offset) = bench.deployment.append("users.credentials", &[garbage]).await[0];
    is_found(bench, user, "unclearRecords");
    let place = &bench.proof(user, 1)["findings"][0]["places"][0];
    assert_eq!(*place, format!("credentials:{partition}:{offset}"));
}

/// A rebuild can't read the events of a user whose key is missing.
async fn events_that_wait_for_a_key_are_loud(bench: &Bench, user: &str) {
    bench.sql(&filled(bench, "DELETE FROM rollcall_keys.data_keys WHERE owner_id = '{u}'", user)).await;
    let cli = bench.deployment.cli.clone();
    let run = tokio::task::spawn_blocking(move || {
        cli.run(&["projection", "rebuild", "--promote", "--accept-set-aside"])
    });
    run.await.unwrap().expect(0);
    let audit = bench.audit(1);
    let waits = |found: &serde_json::Value| {
        found["kind"] == "missingKey" && found["place"] == "its events wait among the dead letters"
    };
    assert!(audit["findings"].as_array().unwrap().iter().any(waits), "{audit}");
    assert_eq!(bench.proof(user, 1)["verdict"], "parked");

    // The retired generation has folded a deletion that the present log lacks.
    let put = "INSERT INTO generation_1.tombstones VALUES ('{t}', '{u}', 9, now(), 0, 0)";
    bench.sql(&filled(bench, put, user)).await;
    let audit = bench.audit(1);
    assert!(has(&audit, "deletedElsewhere") && !has(&audit, "missingKey"), "{audit}");
    let said = bench.deployment.cli.run(&["erasure", "audit"]).expect(1).stdout;
    assert!(said.contains("do not restore their keys"), "{said}");
    bench.sql(&filled(bench, "DELETE FROM generation_1.tombstones WHERE id = '{u}'", user)).await;
}

/// An event of the time before keys. No erasure reaches it.
async fn an_event_that_was_never_sealed_is_found(bench: &Bench) {
    let (id, marker) = (Uuid::new_v4().to_string(), marker());
    let key = format!("{}/{id}", bench.api.tenant);
    let plain =
        json!({ "createdAt": "2020-01-01T00:00:00.000Z", "personal": { "claims": { "name": marker } } });
    let plain = Foreign::event(&key, "user.created.v1", plain.to_string()).header("ce_sequence", "1");
    let places = bench.deployment.append("users.events", &[plain, Foreign::deletion(&key, 2)]).await;
    until("the deletion is folded", async || (!bench.tombstones_of(&id).await.is_empty()).then_some(()))
        .await;
    is_found(bench, &id, "plainEvents");
    let said = bench.prove(&id).expect(1);
    let (partition, offset) = places[0];
    assert!(said.stdout.contains(&format!("users:{partition}:{offset}")), "{said:?}");
    assert!(!format!("{said:?}").contains(&marker), "{said:?}");
}

impl Bench {
    async fn tombstones_of(&self, user: &str) -> Vec<String> {
        let sql = "SELECT id::text FROM live.tombstones WHERE id = $1::uuid";
        sqlx::query_scalar(sql).bind(user).fetch_all(&self.deployment.database).await.unwrap()
    }
}
