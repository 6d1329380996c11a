//! Topic settings that can lose acknowledged events are reported while the service runs, and
//! rejected at a start.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};
use serde_json::Value;
use tests::{Deployment, RedisServer, Service, Stack, until};

/// Replaces the settings of `users.events`.
async fn set(deployment: &Deployment, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", deployment.brokers()).create().unwrap();
    let name = format!("{}users.events", deployment.prefix);
    let config = AlterConfig::new(ResourceSpecifier::Topic(&name));
    let config = settings.iter().fold(config, |config, (key, value)| config.set(key, value));
    let options = AdminOptions::new();
    let altered = admin.alter_configs([&config], &options).await.unwrap();
    altered.into_iter().for_each(|topic| drop(topic.expect("the topic is altered")));
}

async fn log_is(deployment: &Deployment, words: Option<&str>) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = deployment.url(Service::Projector);
    until(&format!("the projector is ready and says of the log: {words:?}"), async || {
        let answer = http.get(format!("{url}/health/ready")).send().await.ok()?;
        let status = answer.status();
        let report: Value = answer.json().await.ok()?;
        let reason = report["dependencies"]["log"]["reason"].as_str();
        let is_said = match words {
            Some(words) => reason.is_some_and(|reason| reason.contains(words)),
            None => report["dependencies"]["log"]["status"] == "up",
        };
        (status == 200 && is_said).then_some(())
    })
    .await;
    let metrics = http.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    let gauge = if words.is_some() { "rollcall_topic_faults 1" } else { "rollcall_topic_faults 0" };
    assert!(metrics.lines().any(|line| line == gauge), "{gauge}: {metrics}");
}

pub async fn a_bad_topic_setting_is_reported_and_stops_a_start(stack: &'static Stack) {
    let sound = [
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
        ("compression.type", "uncompressed"),
    ];
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    // A single broker is not reported.
    log_is(&deployment, None).await;
    let mut short = sound;
    short[1].1 = "86400000";
    set(&deployment, &short).await;
    log_is(&deployment, Some("retention.ms=86400000")).await;
    let refused = deployment.cli.run(&["migrate"]).expect(1).stderr;
    for words in ["users.events has retention.ms=86400000", "it should be -1", "--add-config retention.ms=-1"]
    {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    set(&deployment, &sound).await;
    log_is(&deployment, None).await;
    deployment.cli.run(&["migrate"]).expect(0);
}
