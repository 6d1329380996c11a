//! Puts random markers into all personal data, and searches for their bytes in everything that is
//! stored. Before the delete only the read model may contain them, after it nothing.

use crate::suite::erasure::markers::places::{Found, Places};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{Api, Stack, scratch, until};

mod bytes;
mod places;

/// The markers, one for each kind of personal data.
struct Person {
    /// A nested claim's value, with a letter that has two bytes in UTF-8.
    values: [String; 3],
    /// A claim's name.
    name: String,
    subject: String,
    url: String,
}

impl Person {
    fn new() -> Self {
        let marker = bytes::marker;
        Self {
            values: [marker(), marker(), format!("ä{}", marker())],
            name: marker(),
            subject: marker(),
            url: marker(),
        }
    }

    fn user(&self) -> Value {
        let [first, second, third] = &self.values;
        json!({
            "claims": { "first": first, "deep": { "list": [second, { &self.name: third }] } },
            "authenticationProvider": { "subjectId": self.subject, "url": format!("https://{}.example", self.url) },
        })
    }

    fn markers(&self) -> Vec<String> {
        let plain = |text: &String| text.trim_start_matches('ä').to_owned();
        self.values.iter().chain([&self.name, &self.subject, &self.url]).map(plain).collect()
    }
}

/// All operations on a user, valid and invalid.
async fn live(api: &Api, before: &Person, after: &Person) -> String {
    let id = api.create(before.user()).header("Idempotency-Key", "once").await.expect(201).id();
    api.create(before.user()).header("Idempotency-Key", "once").await.expect(200);
    api.create(after.user()).header("Idempotency-Key", "once").await.expect(422);
    api.search(before.user()).await.expect(200);
    api.get(&id).await.expect(200);
    api.update(&id, after.user()).await.expect(200);
    api.update(&id, before.user()).header("If-Match", "\"1\"").await.expect(412);
    // A race, so that there is an event without effect.
    let writers = (0..6).map(|_| api.update(&id, after.user()).into_future());
    futures_util::future::join_all(writers).await;
    let mut wrong = after.user();
    wrong[&after.name] = json!(after.values);
    api.update(&id, wrong.clone()).await.expect(400);
    api.create(wrong).await.expect(400);
    api.search(json!({ "claims": { "first": after.values[0] }, "limit": after.name })).await.expect(400);
    api.list(&format!("cursor={}", after.name)).await.expect(400);
    api.list("").await.expect(200);
    id
}

/// Only markers in bodies count. A client that puts personal data into tokens, paths or queries is
/// itself to blame.
fn kinds(found: &Found) -> BTreeSet<&str> {
    found.places.iter().map(|(place, _)| place.kind()).collect()
}

pub async fn a_marker_is_found_nowhere_after_a_delete() {
    let home = scratch("erasure");
    let start = move || &*Box::leak(Box::new(Stack::start(&home)));
    let stack: &'static Stack = tokio::task::spawn_blocking(start).await.unwrap();
    let (api, other) = (stack.tenant(), stack.tenant());
    let (before, after, neighbour) = (Person::new(), Person::new(), Person::new());
    other.create(neighbour.user()).await.expect(201);
    let id = live(&api, &before, &after).await;
    // Creates a retired generation with all the data.
    rebuild(stack).await;
    api.update(&id, after.user()).await.expect(200);
    let markers: Vec<String> = before.markers().into_iter().chain(after.markers()).collect();

    let places = Places::of(stack).await;
    places.settle().await;
    let found = places.look_for(&markers).await;
    let wanted = BTreeSet::from(["postgres", "redis", "opened log"]);
    assert_eq!(
        kinds(&found),
        wanted,
        "only the read model has what is personal, and who has the key: {found:#?}"
    );

    api.delete(&id).await.expect(204);
    places.settle().await;
    let found = places.look_for(&markers).await;
    assert!(found.places.is_empty(), "something is left of an erased user: {found:#?}");
    let others = places.look_for(&neighbour.markers()).await;
    assert!(kinds(&others).contains("postgres"), "the search would find what is there: {others:#?}");
    until("the vacuum after the delete is done", async || places.is_vacuumed().await.then_some(())).await;
    stack.stop().unwrap();
}

async fn rebuild(stack: &'static Stack) {
    let cli = stack.cli();
    tokio::task::spawn_blocking(move || cli.run(&["projection", "rebuild", "--promote", "--json"]))
        .await
        .unwrap()
        .expect(0);
}
