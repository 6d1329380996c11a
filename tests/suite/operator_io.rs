//! Input and output of `rollcall`: files in other encodings, a closed stdout, errors.

use serde_json::json;
use std::fs;
use tests::{Cli, Stack, scratch};

pub async fn a_byte_order_mark_is_named(stack: &'static Stack) {
    let api = stack.tenant();
    let lines = "\u{feff}{\"claims\":{\"n\":1}}\n{\"claims\":{\"n\":2}}\n";
    let said = stack.cli().run_with(&["log", "import", "-", "--tenant", &api.tenant], lines).expect(1);
    let first = said.stderr.lines().find(|line| line.starts_with("line 1: ")).unwrap();
    assert!(first.contains("byte order mark"), "{said:?}");
    assert_eq!(api.list("").await.expect(200).data().len(), 1, "the rest goes in");
}

pub async fn utf_16_is_named_and_nothing_is_imported(stack: &'static Stack) {
    let api = stack.tenant();
    let text = "{\"claims\":{\"n\":1}}\n{\"claims\":{\"n\":2}}\n";
    let marked = format!("\u{feff}{text}");
    let bytes = |text: &str, of: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(of).collect::<Vec<u8>>();
    for content in
        [bytes(&marked, u16::to_le_bytes), bytes(&marked, u16::to_be_bytes), bytes(text, u16::to_le_bytes)]
    {
        let file = scratch("utf16").join("users.jsonl");
        fs::write(&file, content).unwrap();
        let args = ["log", "import", file.to_str().unwrap(), "--tenant", &api.tenant];
        let said = stack.cli().run(&args).expect(1).stderr;
        assert!(said.contains("UTF-16") && said.contains("iconv"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(api.list("").await.expect(200).data().is_empty());
}

pub async fn a_closed_stdout_is_no_error(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let user = ["--tenant", &api.tenant, "--user", &id];
    let of_user = |verb: &[&'static str]| [verb, &user[..]].concat();
    api.delete(&id).await.expect(204);
    for args in [
        of_user(&["erasure", "prove"]),
        of_user(&["erasure", "prove", "--json"]),
        of_user(&["users", "export"]),
        vec!["projection", "status"],
        vec!["projection", "list", "--json"],
        vec!["log", "stats"],
        vec!["log", "tail", "--from", "beginning"],
        vec!["dead-letters", "list", "--json"],
        vec!["keys", "status"],
        vec!["migrate", "--json"],
        vec!["env"],
        vec!["--help"],
    ] {
        let said = stack.cli().run_unread(&args).expect(0);
        assert!(
            !said.stderr.contains("rollcall: B") && !said.stderr.contains("panicked"),
            "{args:?}: {said:?}"
        );
    }
    let alive = api.user(json!({})).await;
    let prove = ["erasure", "prove", "--tenant", &api.tenant, "--user", &alive];
    stack.cli().run_unread(&prove).expect(1);
}

pub async fn an_error_is_printed_once(stack: &'static Stack) {
    let (before, after) = stack.var("DATABASE_URL").split_once("://rollcall:").unwrap();
    let (_, server) = after.split_once('@').unwrap();
    let wrong = format!("{before}://rollcall:wrong@{server}");
    let cli = ["REDIS_URL", "KAFKA_BROKERS"]
        .iter()
        .fold(Cli::with(Default::default()), |cli, name| cli.set(name, stack.var(name)))
        .set("ROLLCALL_HOME", scratch("wrong").to_str().unwrap())
        .set("DATABASE_URL", &wrong);
    let said = cli.run(&["projection", "list"]).expect(1).stderr;
    assert_eq!(said.matches("password authentication failed").count(), 1, "{said}");
    assert!(!said.contains("at line"), "{said}");
}
