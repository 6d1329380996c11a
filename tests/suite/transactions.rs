//! Issuing systems may write in transactions. Control records are no lag, and open transactions are
//! shown.

use serde_json::{Value, json};
use tests::{Api, Deployment, Foreign, RedisServer, Service, Stack, scratch, until};
use uuid::Uuid;

const TOPIC: &str = "users.credentials";

/// A user, and facts of an issuing system about new credentials.
struct Issuer<'d> {
    deployment: &'d Deployment,
    api: Api,
    user: String,
}

impl<'d> Issuer<'d> {
    async fn new(deployment: &'d Deployment) -> Self {
        let api = deployment.tenant();
        let user = api.user(json!({})).await;
        Self { deployment, api, user }
    }

    fn facts(&self, count: usize) -> Vec<Foreign> {
        let key = format!("{}/{}", self.api.tenant, self.user);
        let fact = |_| {
            let data = json!({ "id": Uuid::new_v4(), "type": "T", "profile": "compact" });
            Foreign::event(&key, "credential.issued.v1", data.to_string())
        };
        (0..count).map(fact).collect()
    }

    async fn listed(&self, count: usize) {
        until("so many credentials are listed", async || {
            (self.api.credentials(&self.user, "").await.expect(200).ids().len() == count).then_some(())
        })
        .await;
    }

    /// Whether every partition is folded to its end, control records included.
    async fn is_level(&self) {
        until("there is no lag", async || {
            let status = status(self.deployment);
            (status["lag"] == 0 && status["waiting"] == 0).then_some(())
        })
        .await;
        for partition in status(self.deployment)["partitions"].as_array().unwrap() {
            assert_eq!(partition["nextOffset"], partition["logEnd"], "{partition}");
            assert_eq!(partition["lagSeconds"], 0, "{partition}");
        }
    }
}

/// The output of `projection status`.
pub fn status(deployment: &Deployment) -> Value {
    deployment.cli.run(&["projection", "status", "--json"]).expect(0).json()
}

/// An answer of a projector.
pub async fn answer(deployment: &Deployment, n: usize, path: &str) -> (u16, String) {
    let url = format!("{}{path}", deployment.instance_url(Service::Projector, n));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The warnings of a ready projector.
pub async fn notes(deployment: &Deployment) -> Value {
    let (status, body) = answer(deployment, 0, "/health/ready").await;
    assert_eq!(status, 200, "a note makes nothing unready: {body}");
    serde_json::from_str::<Value>(&body).unwrap()["notes"].clone()
}

async fn note(deployment: &Deployment) -> Option<String> {
    notes(deployment).await["openTransactions"].as_str().map(str::to_owned)
}

pub async fn control_records_are_no_lag(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let issuer = Issuer::new(&deployment).await;
    let (transaction, _) = deployment.begin(TOPIC, &issuer.facts(1)).await;
    transaction.commit().await;
    issuer.listed(1).await;
    issuer.is_level().await;
    let (transaction, _) = deployment.begin(TOPIC, &issuer.facts(5)).await;
    transaction.abort().await;
    issuer.is_level().await;
    // A rebuild reaches the same end, where no record is.
    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    issuer.is_level().await;
    issuer.listed(1).await;
    let api = issuer.api.clone();
    let (user, facts) = (issuer.user.clone(), issuer.facts(1));

    // A projector that takes over at such an end continues behind it.
    deployment.crash(Service::Projector).await;
    deployment.append(TOPIC, &facts).await;
    let issuer = Issuer { deployment: &deployment, api, user };
    issuer.listed(2).await;
    issuer.is_level().await;
}

pub async fn an_open_transaction_is_shown(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let issuer = Issuer::new(&deployment).await;
    issuer.is_level().await;
    assert_eq!(note(&deployment).await, None);
    let (transaction, places) = deployment.begin(TOPIC, &issuer.facts(2)).await;
    let (partition, offset) = places[0];
    deployment.append(TOPIC, &issuer.facts(1)).await;

    let open = until("status shows it", async || {
        let all = status(&deployment);
        let found = |status: &&Value| status["topic"] == "credentials" && status["partition"] == partition;
        let status = all["partitions"].as_array().unwrap().iter().find(found)?.clone();
        assert_eq!(all["waiting"], 3);
        Some(status["openTransaction"].clone()).filter(Value::is_object)
    })
    .await;
    assert_eq!([&open["offset"], &open["waiting"]], [&json!(offset), &json!(3)]);
    assert!(open["since"].as_str().is_some_and(|since| since.starts_with("20")), "{open}");
    let words = format!("partition {partition}: a transaction is open at offset {offset} since ");
    for verb in [&["projection", "status"][..], &["log", "stats"]] {
        let text = deployment.cli.run(verb).expect(0).stdout;
        assert!(text.contains(&words), "{text}");
    }
    until("health names it", async || note(&deployment).await.filter(|note| note.contains(&words))).await;
    let gauge = format!(
        "rollcall_projector_open_transaction_offsets{{partition=\"{partition}\",topic=\"credentials\"}} 3"
    );
    until("a gauge counts it", async || {
        answer(&deployment, 0, "/metrics").await.1.contains(&gauge).then_some(())
    })
    .await;
    until("the log says it", async || {
        let log = std::fs::read_to_string(deployment.log_path(Service::Projector, 0)).unwrap();
        log.lines().any(|line| line.contains("WARN") && line.contains("a transaction is open")).then_some(())
    })
    .await;

    let (mut import, log) = import(&issuer);
    until("the import reports what it waits for", async || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains(&format!("waiting: {}{TOPIC} {words}", deployment.prefix)).then_some(())
    })
    .await;
    transaction.commit().await;
    assert!(import.wait().success(), "{}", import.output());
    issuer.listed(4).await;
    issuer.is_level().await;
    until("health has forgotten it", async || note(&deployment).await.is_none().then_some(())).await;
}

/// Imports another credential with `rollcall`. Returns its output.
fn import(issuer: &Issuer<'_>) -> (tests::Process, std::path::PathBuf) {
    let dir = scratch("behind-a-transaction");
    let (file, log) = (dir.join("credentials.jsonl"), dir.join("import.log"));
    let line = json!({ "userId": issuer.user, "id": Uuid::new_v4(), "type": "T", "profile": "compact" });
    std::fs::write(&file, line.to_string()).unwrap();
    let args =
        ["log", "import", file.to_str().unwrap(), "--credentials", "--tenant", issuer.api.tenant.as_str()];
    (issuer.deployment.cli.start(&args, &log), log)
}
