//! A client of the API for one tenant.

use crate::Answer;
use futures_util::future::BoxFuture;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

/// The paths of the operations.
pub const PREFIX: &str = "/core/v1/users";

/// A client with a token.
#[derive(Clone)]
pub struct Api {
    /// The tenant.
    pub tenant: String,
    /// The token. `None`: no `Authorization` is sent.
    pub token: Option<String>,
    reads: String,
    writes: String,
    prefix: &'static str,
    http: Client,
}

impl Api {
    /// A client of a tenant. Reads and writes may go to different processes.
    ///
    /// # Panics
    /// The HTTP client can't be created.
    pub fn new(reads: &str, writes: &str, tenant: &str, token: &str) -> Self {
        // A hanging request must fail its test, not the whole run.
        let http =
            Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().expect("an HTTP client");
        Self {
            tenant: tenant.to_owned(),
            token: Some(token.to_owned()),
            reads: reads.trim_end_matches('/').to_owned(),
            writes: writes.trim_end_matches('/').to_owned(),
            prefix: PREFIX,
            http,
        }
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same client without a token.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same client for other instances.
    #[must_use]
    pub fn at(&self, reads: &str, writes: &str) -> Self {
        Self { reads: reads.to_owned(), writes: writes.to_owned(), ..self.clone() }
    }

    /// The same client for the paths without `core`.
    #[must_use]
    pub fn short_paths(&self) -> Self {
        Self { prefix: "/v1/users", ..self.clone() }
    }

    /// `POST /users`
    pub fn create(&self, user: Value) -> Call {
        self.write(Method::POST, "").json(&user)
    }

    /// `GET /users/{id}`
    pub fn get(&self, id: &str) -> Call {
        self.read(Method::GET, &format!("/{id}"))
    }

    /// `PUT /users/{id}`
    pub fn update(&self, id: &str, user: Value) -> Call {
        self.write(Method::PUT, &format!("/{id}")).json(&user)
    }

    /// `DELETE /users/{id}`
    pub fn delete(&self, id: &str) -> Call {
        self.write(Method::DELETE, &format!("/{id}"))
    }

    /// `GET /users?query`
    pub fn list(&self, query: &str) -> Call {
        self.read(Method::GET, &format!("?{query}"))
    }

    /// `POST /users/search`
    pub fn search(&self, criteria: Value) -> Call {
        self.read(Method::POST, "/search").json(&criteria)
    }

    /// `GET /users/{userId}/credentials?query`
    pub fn credentials(&self, user: &str, query: &str) -> Call {
        self.read(Method::GET, &format!("/{user}/credentials?{query}"))
    }

    /// A read, by its method and the path after the prefix.
    pub fn read(&self, method: Method, rest: &str) -> Call {
        self.call(method, format!("{}{}{rest}", self.reads, self.prefix))
    }

    /// A write, by its method and the path after the prefix.
    pub fn write(&self, method: Method, rest: &str) -> Call {
        self.call(method, format!("{}{}{rest}", self.writes, self.prefix))
    }

    /// Any path of the query service.
    pub fn path(&self, method: Method, path: &str) -> Call {
        self.call(method, format!("{}{path}", self.reads))
    }

    /// The `host:port` of the command service.
    pub fn authority(&self) -> &str {
        self.writes.trim_start_matches("http://")
    }

    fn call(&self, method: Method, url: String) -> Call {
        let request = self.http.request(method, url);
        Call(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// Creates a user and returns its id.
    pub async fn user(&self, claims: Value) -> String {
        self.create(json!({ "claims": claims })).await.expect(201).id()
    }

    /// All entries of a paged read. `page` requests the page of a cursor.
    pub async fn pages(page: impl AsyncFn(Option<String>) -> Answer) -> Vec<Value> {
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let answer = page(cursor).await.expect(200);
            entries.extend(answer.data());
            cursor = answer.next();
            if cursor.is_none() {
                return entries;
            }
        }
    }

    /// All users of the tenant, `limit` per page.
    pub async fn all(&self, limit: u32) -> Vec<Value> {
        let query = |cursor: Option<String>| {
            let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            format!("limit={limit}{after}")
        };
        Self::pages(async |cursor| self.list(&query(cursor)).await).await
    }
}

/// A request. Awaiting it sends it and returns the answer.
#[must_use]
pub struct Call(RequestBuilder);

impl Call {
    /// Sets a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Sets a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sets any body.
    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.header("content-type", content_type).body(body.into()))
    }

    /// The answer, if there is one.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn attempt(self) -> Result<Answer, reqwest::Error> {
        let response = self.0.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = BoxFuture<'static, Answer>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { check(self.attempt().await.expect("an answer")) })
    }
}

/// Checks what holds for every answer.
fn check(answer: Answer) -> Answer {
    assert_ne!(answer.status, 500, "no request may give 500: {}", answer.text());
    assert!(!answer.header("x-request-id").is_empty());
    if answer.status >= 400 {
        let problem = answer.json();
        assert!(
            problem["code"].is_string() && problem["message"].is_string(),
            "not the error body: {problem}"
        );
    }
    answer
}
