//! A key set behind a URL: fetched when first needed, one fetch at a time, and kept through an
//! outage of its server.

use super::keys::KeySet;
use crate::problem::Problem;
use anyhow::Context as _;
use arc_swap::ArcSwapOption;
use reqwest::{Client, redirect::Policy};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, MutexGuard};

const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_BYTES: usize = 1024 * 1024;
/// After this age a new version is fetched in the background while the old one serves.
const REFRESH_AFTER: Duration = Duration::from_secs(10 * 60);
/// A key set older than this is no longer used.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// Unknown keys trigger at most one fetch in this time. Otherwise anyone could make us flood the
/// issuer.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);
/// How long to wait after a failed fetch.
const RETRY_AFTER: Duration = Duration::from_secs(1);

struct Fetched {
    keys: Arc<KeySet>,
    body: Vec<u8>,
    at: Instant,
}

/// State that only the fetching task may touch.
#[derive(Default)]
struct Flight {
    failed_at: Option<Instant>,
    unknown_key_at: Option<Instant>,
}

pub(super) struct RemoteSource {
    url: String,
    client: Client,
    fetched: ArcSwapOption<Fetched>,
    flight: Mutex<Flight>,
}

impl RemoteSource {
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(Policy::limited(2))
            // Fetches are rare, and a pooled connection would belong to the worker that created it.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { url: url.to_owned(), client, fetched: ArcSwapOption::empty(), flight: Mutex::default() })
    }

    /// The key set. Only the first callers, and those after a long outage, wait for it.
    pub(super) async fn keys(self: &Arc<Self>) -> Result<Arc<KeySet>, Problem> {
        match self.current(MAX_AGE) {
            Some(fetched) => {
                if fetched.at.elapsed() >= REFRESH_AFTER {
                    self.refresh_in_background();
                }
                Ok(fetched.keys.clone())
            }
            None => self.first().await,
        }
    }

    /// The key set after a fetch newer than `old`, if a fetch is allowed now.
    pub(super) async fn newer_than(&self, old: Arc<KeySet>) -> Result<Arc<KeySet>, Problem> {
        let mut flight = self.flight.lock().await;
        if let Some(fetched) = self.current(MAX_AGE).filter(|fetched| fetched.keys.id() != old.id()) {
            return Ok(fetched.keys.clone());
        }
        if has_passed(flight.unknown_key_at, UNKNOWN_KEY_INTERVAL) {
            flight.unknown_key_at = Some(Instant::now());
            self.fetch(&mut flight).await;
        }
        Ok(self.current(MAX_AGE).map_or(old, |fetched| fetched.keys.clone()))
    }

    fn current(&self, max_age: Duration) -> Option<Arc<Fetched>> {
        self.fetched.load_full().filter(|fetched| fetched.at.elapsed() < max_age)
    }

    async fn first(&self) -> Result<Arc<KeySet>, Problem> {
        let mut flight = self.flight.lock().await;
        if self.current(MAX_AGE).is_none() && has_passed(flight.failed_at, RETRY_AFTER) {
            self.fetch(&mut flight).await;
        }
        let fetched = self.current(MAX_AGE);
        fetched.map(|fetched| fetched.keys.clone()).ok_or_else(|| {
            Problem::unavailable(
                "Tokens can't be verified: the key set can't be fetched",
                RETRY_AFTER.as_secs(),
            )
        })
    }

    fn refresh_in_background(self: &Arc<Self>) {
        let source = self.clone();
        tokio::spawn(async move {
            // Another task is fetching already.
            let Ok(mut flight) = source.flight.try_lock() else { return };
            let is_due = source.current(REFRESH_AFTER).is_none();
            if is_due && has_passed(flight.failed_at, UNKNOWN_KEY_INTERVAL) {
                source.fetch(&mut flight).await;
            }
        });
    }

    async fn fetch(&self, flight: &mut MutexGuard<'_, Flight>) {
        // Set in advance, so that a caller that goes away halfway counts as a failure.
        flight.failed_at = Some(Instant::now());
        match self.download().await {
            Ok(fetched) => {
                self.fetched.store(Some(Arc::new(fetched)));
                flight.failed_at = None;
            }
            Err(error) => {
                tracing::warn!(
                    error = crate::errors::describe_error(error.as_ref()),
                    "the key set can't be fetched"
                )
            }
        }
    }

    async fn download(&self) -> anyhow::Result<Fetched> {
        let body = self.body().await?;
        let unchanged = self.fetched.load_full().filter(|fetched| fetched.body == body);
        let keys = match unchanged {
            // The same document is the same key set: cached tokens stay valid.
            Some(fetched) => fetched.keys.clone(),
            None => Arc::new(KeySet::parse(&body).context("the response is not a key set")?),
        };
        Ok(Fetched { keys, body, at: Instant::now() })
    }

    async fn body(&self) -> anyhow::Result<Vec<u8>> {
        // The URL may contain a password, so it is kept out of the error.
        let request =
            self.client.get(&self.url).header("Accept", "application/jwk-set+json, application/json");
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        let mut response = response.map_err(reqwest::Error::without_url)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            anyhow::ensure!(
                body.len() + chunk.len() <= MAX_BYTES,
                "the response is longer than {MAX_BYTES} bytes"
            );
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn has_passed(since: Option<Instant>, gap: Duration) -> bool {
    since.is_none_or(|at| at.elapsed() >= gap)
}
