//! Anyone may write to `users.credentials`. No record there parks a user, stops a projector, or
//! changes a user with another key.

use super::bench::{Bench, Created, PARTITIONS, letter_id, texts};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::{Value, json};
use tests::{Foreign, Stack, until};
use uuid::Uuid;

const TOPIC: &str = "users.credentials";
/// More than the limit of parked users.
const MANY: usize = 150;

pub async fn poison_about_credentials_harms_nobody(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let (victim, other) = (bench.create().await, bench.create().await);
    let poison = poison(&victim, &other);
    let places = bench.deployment.append(TOPIC, &poison).await;
    let good = issue(&bench, &victim);
    until("what follows is folded", async || {
        (credentials(&bench, &victim).await == [good.as_str()]).then_some(())
    })
    .await;
    until("all of it is set aside", async || (bench.letters().len() == poison.len()).then_some(())).await;
    for user in [&victim, &other] {
        bench.goes_on(user).await;
    }
    bench.all_partitions_go_on().await;
    assert_eq!(credentials(&bench, &other).await, Vec::<String>::new(), "of another key, of another user");
    shown_and_discarded(&bench, &victim, &places);
    many(&bench).await;
    what_is_large_once_unpacked_is_refused(&bench, &victim).await;
}

/// A record that decompresses to more than a consumer accepts would block all later ones. The
/// broker checks the decompressed size.
async fn what_is_large_once_unpacked_is_refused(bench: &Bench, user: &Created) {
    let giant = event(user, "credential.issued.v1", vec![b'x'; 20 << 20]);
    for topic in [TOPIC, "users.events"] {
        let answer = bench.deployment.append_packed(topic, &giant).await;
        assert_eq!(answer, Err(RDKafkaErrorCode::MessageSizeTooLarge), "{topic}");
    }
    let small = event(user, "credential.unknown-to-anyone.v1", vec![b'x'; 100 << 10]);
    assert_eq!(bench.deployment.append_packed(TOPIC, &small).await, Ok(()));
}

fn event(user: &Created, ce_type: &str, value: impl Into<Vec<u8>>) -> Foreign {
    Foreign::event(&user.key, ce_type, value)
}

fn poison(victim: &Created, other: &Created) -> Vec<Foreign> {
    let sound =
        json!({ "credential": { "id": Uuid::new_v4(), "type": "T", "profile": "compact" } }).to_string();
    let issued = |value: &str| event(victim, "credential.issued.v1", value);
    let huge = json!({ "credential": { "id": Uuid::new_v4(), "type": "T", "profile": "compact", "namespaces": { "n": { "s": "x".repeat(256 * 1024) } } } });
    let huge = huge.to_string();
    vec![
        issued("not json"),
        issued(r#"{"credential":17}"#),
        issued(&huge),
        event(victim, "credential.issued.v9", sound.as_str()),
        event(victim, "user.deleted.v1", "{}").header("ce_sequence", "2"),
        issued(&sound).header("ce_tenantid", "another"),
        issued(&sound).header("ce_subject", &other.id),
        issued(&sound).keyed(None).into_partition(victim.partition),
        issued(&sound).keyed(Some("nobody")).into_partition(victim.partition),
        issued(&sound).into_partition((victim.partition + 1) % PARTITIONS),
    ]
}

/// Issues a credential. Returns its id.
fn issue(bench: &Bench, user: &Created) -> String {
    let id = Uuid::new_v4().to_string();
    let line = json!({ "userId": user.id, "id": id, "type": "T", "profile": "compact" }).to_string();
    let args = ["log", "import", "-", "--credentials", "--tenant", &bench.api.tenant];
    bench.cli().run_with(&args, &line).expect(0);
    id
}

async fn credentials(bench: &Bench, user: &Created) -> Vec<String> {
    bench.api.credentials(&user.id, "").await.expect(200).ids()
}

fn shown_and_discarded(bench: &Bench, victim: &Created, places: &[(i32, i64)]) {
    let mut expected: Vec<_> = places.to_vec();
    expected.sort_unstable();
    let ids: Vec<_> = expected.iter().map(|at| letter_id("credentials", *at)).collect();
    assert_eq!(texts(&bench.letters(), "id"), ids);
    assert!(texts(&bench.letters(), "reason").contains(&"too-large".to_owned()));
    let first = letter_id("credentials", places[0]);
    let letter = bench.dead_letters(&["show", &first, "--json"]).expect(0).json();
    assert_eq!([&letter["topic"], &letter["userId"]], [&json!("credentials"), &json!(victim.id)]);
    let discarded = bench.dead_letters(&["discard", &first, "--json"]).expect(0).json();
    assert_eq!(discarded["settled"], 1);
    assert!(!texts(&bench.letters(), "id").contains(&first));
}

/// However many there are, they stop nothing.
async fn many(bench: &Bench) {
    let before = bench.letters().len();
    let strangers = (0..MANY).map(|_| {
        let key = format!("{}/{}", bench.api.tenant, Uuid::new_v4());
        Foreign::event(&key, "credential.issued.v1", "{}")
    });
    bench.deployment.append(TOPIC, &strangers.collect::<Vec<_>>()).await;
    until("all of them are set aside", async || (bench.letters().len() == before + MANY).then_some(())).await;
    assert_eq!(bench.pause(), Value::Null);
    bench.all_partitions_go_on().await;
}
