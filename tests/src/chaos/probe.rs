//! Probes whether everything works again: a write to every partition is visible, and every instance
//! answers.

use super::{
    faults::{BOUND, LOOK},
    plan::INSTANCES,
};
use crate::{Api, Deployment, Service};
use futures_util::future::join_all;
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// The timeout after which a request is repeated.
const ANSWER: Duration = Duration::from_secs(7);

/// One user of each partition.
pub(super) struct Probe {
    apis: Vec<Api>,
    users: Vec<String>,
}

impl Probe {
    /// Creates users until every partition has one.
    pub(super) async fn prepare(
        deployment: &Deployment,
        token: &str,
        tenant: &str,
        partitions: usize,
    ) -> Self {
        let url = |service, n| deployment.instance_url(service, n);
        let api = |n| Api::new(&url(Service::Query, n), &url(Service::Command, n), tenant, token);
        let apis: Vec<_> = (0..INSTANCES).map(api).collect();
        let mut users = BTreeMap::new();
        while users.len() < partitions {
            let answer = apis[0].create(json!({ "claims": { "probe": true } })).await.expect(201);
            users.entry(answer.position().0).or_insert_with(|| answer.id());
        }
        Self { apis, users: users.into_values().collect() }
    }

    /// Waits until each partition's user was written and read through an instance, and each
    /// instance has answered. Gives up after some time.
    pub(super) async fn works(&self) -> bool {
        let all = self.users.iter().zip(self.apis.iter().cycle()).map(|(user, api)| written(api, user));
        join_all(all).await.into_iter().all(|worked| worked)
    }
}

async fn written(api: &Api, user: &str) -> bool {
    let give_up = Instant::now() + BOUND;
    while Instant::now() < give_up {
        let write = timeout(ANSWER, api.update(user, json!({ "claims": { "probe": true } })).attempt()).await;
        // Accepted and visible. With 202 the write would only be in the log.
        if matches!(write, Ok(Ok(answer)) if answer.status == 200) && read(api, user).await {
            return true;
        }
        sleep(LOOK).await;
    }
    false
}

async fn read(api: &Api, user: &str) -> bool {
    matches!(timeout(ANSWER, api.get(user).attempt()).await, Ok(Ok(answer)) if answer.status == 200)
}
