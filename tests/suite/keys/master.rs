//! The master key's file is lost, wrong, truncated or readable by others.

use super::{all_refuse, goes_on, live};
use serde_json::json;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};
use tests::{Deployment, RedisServer, Service, Stack, until};

/// A well-formed key that wraps nothing.
const OTHER: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Content and mode. `None` if there is no file.
fn state(path: &Path) -> Option<(String, u32)> {
    Some((fs::read_to_string(path).ok()?, fs::metadata(path).ok()?.mode() & 0o777))
}

/// A running service reports the loss of the file before the next start needs it.
async fn its_loss_is_seen_at_once(deployment: &mut Deployment, path: &Path) {
    let aside = path.with_extension("aside");
    fs::rename(path, &aside).unwrap();
    for service in [Service::Command, Service::Projector] {
        let url = format!("{}/health/ready", deployment.url(service));
        until(&format!("{service:?} tells the loss"), async || {
            reqwest::get(&url).await.ok()?.text().await.ok()?.contains("the master key is lost").then_some(())
        })
        .await;
    }
    fs::rename(&aside, path).unwrap();
    for service in [Service::Command, Service::Projector] {
        deployment.ready(service).await;
    }
}

/// Containers create a directory in the place of a missing file.
fn a_directory_is_said_to_be_one(deployment: &Deployment) {
    let cli = deployment.cli.clone().set("ROLLCALL_MASTER_KEY_FILE", deployment.home().to_str().unwrap());
    let said = cli.run(&["keys", "status"]).expect(1).stderr;
    assert!(said.contains("ROLLCALL_MASTER_KEY_FILE") && said.contains("is a directory"), "{said}");
}

pub async fn nothing_starts_without_the_right_master_key(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = live(&api).await;
    let path = deployment.home().join("master.key");
    let (good, _) = state(&path).expect("it was made by the first start");
    its_loss_is_seen_at_once(&mut deployment, &path).await;
    for service in [Service::Command, Service::Projector] {
        deployment.stop(service);
    }
    let line = good.lines().last().unwrap();
    let (name, _) = line.split_once(' ').unwrap();
    let wrongs = [
        (None, 0o600, "is not there"),
        (Some(format!("file-0123456789ab {OTHER}\n")), 0o600, "does not hold the master key"),
        (Some(format!("{name} {OTHER}\n")), 0o600, "does not open what was wrapped under it"),
        (Some(good[..good.len() - 9].to_owned()), 0o600, "must hold lines of"),
        (Some(String::new()), 0o600, "must hold lines of"),
        (Some(good.clone()), 0o640, "its mode is 640"),
    ];
    for (content, mode, words) in wrongs {
        fs::remove_file(&path).unwrap();
        if let Some(content) = &content {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        all_refuse(&mut deployment, &[], &["ROLLCALL_MASTER_KEY_FILE", words]).await;
        assert_eq!(state(&path), content.map(|content| (content, mode)), "nothing is overwritten");
        fs::write(&path, &good).unwrap();
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    a_directory_is_said_to_be_one(&deployment);
    // The projector first, because a command service is ready once a projector runs.
    for service in [Service::Projector, Service::Command] {
        deployment.crash(service).await;
    }
    goes_on(&api).await;
    api.update(&id, json!({ "claims": { "n": 5 } })).await.expect(200);
    live(&api).await;
    assert_eq!(state(&path), Some((good, 0o600)));
}
