//! Writes with `Prefer: respond-async`, and reads with `Read-After`.

use reqwest::Method;
use serde_json::json;
use tests::Stack;

pub async fn a_write_that_does_not_wait_is_readable_after_its_position(stack: &'static Stack) {
    let api = stack.tenant();
    let post =
        api.create(json!({ "claims": { "a": 1 } })).header("Prefer", "respond-async").await.expect(202);
    assert_eq!(post.version(), 1);
    let id = post.header("location").rsplit_once('/').unwrap().1.to_owned();
    let read = api.get(&id).header("Read-After", post.header("log-position")).await.expect(200);
    assert_eq!(read.json()["claims"], json!({ "a": 1 }));

    let put =
        api.update(&id, json!({ "claims": { "a": 2 } })).header("Prefer", "respond-async").await.expect(202);
    assert_eq!(put.version(), 2);
    let read = api.get(&id).header("Read-After", put.header("log-position")).await.expect(200);
    assert_eq!((read.version(), read.json()["claims"].clone()), (2, json!({ "a": 2 })));

    let delete = api.delete(&id).header("Prefer", "respond-async").await.expect(202);
    assert!(delete.find("etag").is_none(), "a delete has no version to name");
    api.get(&id).header("Read-After", delete.header("log-position")).await.expect(404);
}

pub async fn every_read_takes_read_after(stack: &'static Stack) {
    let api = stack.tenant();
    let post =
        api.create(json!({ "claims": { "a": 1 } })).header("Prefer", "respond-async").await.expect(202);
    let position = post.header("log-position");
    let id = post.header("location").rsplit_once('/').unwrap().1;
    assert_eq!(api.list("").header("Read-After", position).await.expect(200).ids(), [id]);
    let found = api.search(json!({ "claims": { "a": 1 } })).header("Read-After", position).await.expect(200);
    assert_eq!(found.ids(), [id]);
    api.credentials(id, "").header("Read-After", position).await.expect(200);
}

pub async fn a_malformed_position_is_400(stack: &'static Stack) {
    let api = stack.tenant();
    for bad in [
        "",
        "x",
        "1",
        "1:",
        ":1",
        "-1:0",
        "0:-1",
        "0:0:0",
        "99999:0",
        "0:9223372036854775808",
        "4294967296:0",
    ] {
        let detail = api.list("").header("Read-After", bad).await.expect(400).detail();
        assert_eq!(detail["location"], "headers", "{bad:?}");
        assert_eq!(detail["param"].as_str().unwrap().to_lowercase(), "read-after", "{bad:?}");
    }
}

pub async fn a_position_that_is_not_reached_in_time_is_503(stack: &'static Stack) {
    let api = stack.tenant();
    let late = api.list("").header("Read-After", "0:9000000000000000000").await.expect(503);
    assert_eq!(late.json()["code"], "ServiceUnavailable");
    assert!(late.header("retry-after").parse::<u64>().unwrap() > 0);
}

pub async fn a_visible_write_is_in_every_read(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({ "n": 0 })).await;
    for n in 1..30 {
        let put = api.update(&id, json!({ "claims": { "n": n } })).await.expect(200);
        assert_eq!(api.get(&id).await.expect(200).version(), put.version());
        assert_eq!(api.list("").await.expect(200).data()[0]["claims"], json!({ "n": n }));
        assert_eq!(api.search(json!({ "claims": { "n": n } })).await.expect(200).ids(), [id.as_str()]);
    }
    api.read(Method::GET, &format!("/{id}")).await.expect(200);
}
