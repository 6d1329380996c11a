//! The output and exit codes of `rollcall`.

use serde_json::{Value, json};
use tests::{Cli, Stack, free_port, scratch};
use uuid::Uuid;

pub async fn env_prints_all_addresses(stack: &'static Stack) {
    let output = stack.cli().run(&["env"]).expect(0);
    for name in ["ROLLCALL_URL", "DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS"] {
        assert!(output.stdout.lines().any(|line| line.starts_with(&format!("{name}="))), "{output:?}");
    }
    let json = stack.cli().run(&["env", "--json"]).expect(0).json();
    assert_eq!(json["ROLLCALL_URL"], stack.url());
    assert_eq!(json["KAFKA_BROKERS"], stack.var("KAFKA_BROKERS"));
}

pub async fn a_token_is_alone_on_stdout(stack: &'static Stack) {
    let output = stack.cli().run(&["token", "--tenant", "acme"]).expect(0);
    assert_eq!(output.stdout.lines().count(), 1);
    assert_eq!(output.stdout.trim().split('.').count(), 3);
    assert!(stack.cli().run(&["token", "--tenant", "acme", "--json"]).expect(0).json().is_object());
    for bad in ["", "a/b", "a b", &"x".repeat(65)] {
        assert_ne!(stack.cli().run(&["token", "--tenant", bad]).code, Some(0), "{bad}");
    }
}

pub async fn wrong_usage_is_2(stack: &'static Stack) {
    for args in [
        &["nothing"][..],
        &["token"],
        &["token", "--tenant"],
        &["log"],
        &["log", "nothing"],
        &["projection", "nothing"],
        &["env", "--nothing"],
        &["log", "import", "-"],
        &["token", "--tenant", "a", "--ttl", "long"],
    ] {
        let output = stack.cli().run(args).expect(2);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}: {output:?}");
    }
    stack.cli().run(&["--help"]).expect(0);
}

pub async fn a_bad_setting_is_rejected_by_name(stack: &'static Stack) {
    for (name, value) in [
        ("ROLLCALL_ADRR", "127.0.0.1:0"),
        ("ROLLCALL_PARTITIONS", "many"),
        ("ROLLCALL_PARTITIONS", "0"),
        ("ROLLCALL_VISIBILITY_TIMEOUT", "soon"),
        ("ROLLCALL_ANALYTICS_LEVEL", "4"),
        ("ROLLCALL_ADDR", "nowhere"),
        ("ROLLCALL_KAFKA_PORT", "99999"),
        ("ROLLCALL_KEYS_DATABASE_URL", "postgres://h/db?sslmode=x"),
    ] {
        let output = stack.cli().set(name, value).run(&["env"]);
        assert!(matches!(output.code, Some(1 | 2)), "{name}={value}: {output:?}");
        assert!(output.stderr.contains(name), "{name}={value}: {output:?}");
    }
}

pub async fn unreachable_postgres_is_named(stack: &'static Stack) {
    let nowhere = format!("postgres://u:hush@127.0.0.1:{}/none", free_port());
    let here = ["DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS"].map(|name| (name, stack.var(name)));
    let home = scratch("away");
    let said = |away: &str, args: &[&str]| {
        let cli = Cli::with(Default::default()).set("ROLLCALL_HOME", home.to_str().unwrap());
        let cli = here.iter().fold(cli, |cli, (name, value)| cli.set(name, value));
        let output = cli.set(away, &nowhere).run(args).expect(1);
        let wanted = format!("PostgreSQL ({away}) can't be reached");
        assert!(output.stderr.contains(&wanted) && !output.stderr.contains("hush"), "{args:?}: {output:?}");
    };
    let user = ["--tenant", "acme", "--user", "6f1c1c0e-0000-4000-8000-000000000000"];
    said("DATABASE_URL", &[&["erasure", "prove"], &user[..]].concat());
    said("DATABASE_URL", &["dead-letters", "list"]);
    said("DATABASE_URL", &["projection", "status"]);
    said("DATABASE_URL", &["keys", "status"]);
    said("ROLLCALL_KEYS_DATABASE_URL", &["keys", "status"]);
    said("ROLLCALL_KEYS_DATABASE_URL", &["migrate"]);
}

pub async fn migrate_can_run_again(stack: &'static Stack) {
    stack.cli().run(&["migrate"]).expect(0);
    stack.cli().run(&["migrate"]).expect(0);
}

pub async fn a_file_of_users_is_imported_once(stack: &'static Stack) {
    let api = stack.tenant();
    let (id, at) = (Uuid::new_v4().to_string(), "2020-08-25T06:46:09.510987+00:00");
    let link = json!({ "subjectId": "s" });
    let lines = [
        json!({ "id": id, "createdAt": at, "claims": { "n": 1 }, "authenticationProvider": link })
            .to_string(),
        String::new(),
        json!({ "claims": { "n": 2 } }).to_string(),
        json!({ "claims": { "n": 2 } }).to_string(),
        json!({}).to_string(),
    ];
    let file = scratch("import").join("users.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let args = ["log", "import", file.to_str().unwrap(), "--tenant", &api.tenant];
    stack.cli().run(&args).expect(0);

    let users = api.list("").await.expect(200).data();
    assert_eq!(users.len(), 3, "equal lines are one user: {users:?}");
    let expected = json!({ "id": id, "claims": { "n": 1 }, "authenticationProvider": link });
    assert_eq!(users[0], expected, "createdAt is the order of the list");
    let cursor = api.list("limit=1").await.expect(200).next().unwrap();
    assert_eq!(decoded(&cursor), format!("createdAt=2020-08-25T06:46:09.510Z&id={id}"));

    stack.cli().run(&[&args[..], &["--json"]].concat()).expect(0);
    assert_eq!(api.list("").await.expect(200).data(), users, "a second import changes nothing");
    assert_eq!(api.get(&id).await.expect(200).version(), 1);
}

fn decoded(cursor: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap()
}

pub async fn a_bad_line_stops_nothing(stack: &'static Stack) {
    let api = stack.tenant();
    let lines = [
        r#"{"claims":{"n":1}}"#,
        "not json",
        r#"{"claims":null}"#,
        r#"{"id":"x"}"#,
        r#"{"unknown":1}"#,
        r#"{"claims":{"a":"\u0000"}}"#,
        r#"{"createdAt":"yesterday"}"#,
        r#"{"claims":{"a":1,"a":2}}"#,
        r#"{"claims":{"s":"secret-value","n":1e400}}"#,
        r#"{"claims":{"n":2}}"#,
    ];
    let args = ["log", "import", "-", "--tenant", &api.tenant];
    let output = stack.cli().run_with(&args, &lines.join("\n")).expect(1);
    let said = format!("{}{}", output.stdout, output.stderr);
    for number in 2..=9 {
        assert!(
            said.lines().any(|line| line.contains(&number.to_string())),
            "line {number} is reported: {said}"
        );
    }
    assert!(!said.contains("secret-value"), "no claim is echoed: {said}");
    assert_eq!(api.list("").await.expect(200).data().len(), 2, "the rest goes in");
}

pub async fn credentials_are_imported_and_listed(stack: &'static Stack) {
    let api = stack.tenant();
    let user = api.user(json!({})).await;
    let item = |n: u32| {
        let (id, from) = (Uuid::from_u128(u128::from(n)), "2024-01-01T00:00:00Z");
        json!({ "id": id, "type": "T", "profile": "web-semantic", "status": "valid", "validFrom": from })
    };
    let line = |n: u32| {
        let mut line = item(n);
        line["userId"] = json!(user);
        line["createdAt"] = json!(format!("2024-01-01T00:00:0{n}Z"));
        line.to_string()
    };
    let args = ["log", "import", "-", "--credentials", "--tenant", &api.tenant];
    let lines: Vec<_> = (1..=5).map(line).collect();
    stack.cli().run_with(&args, &lines.join("\n")).expect(0);
    stack.cli().run_with(&args, &lines.join("\n")).expect(0);
    let page = api.credentials(&user, "").await.expect(200);
    assert_eq!(page.data(), (1..=5).map(item).collect::<Vec<_>>());
    let first = api.credentials(&user, "limit=2").await.expect(200);
    let rest = api.credentials(&user, &format!("cursor={}", first.next().unwrap())).await.expect(200);
    assert_eq!([first.ids(), rest.ids()].concat(), page.ids());

    let unknown =
        json!({ "userId": user, "id": Uuid::new_v4(), "type": "T", "profile": "paper" }).to_string();
    stack.cli().run_with(&args, &unknown).expect(1);
    api.delete(&user).await.expect(204);
    assert_eq!(api.credentials(&user, "").await.expect(200).data(), Vec::<Value>::new());
}

pub async fn the_log_can_be_watched(stack: &'static Stack) {
    let api = stack.tenant();
    let secret = format!("secret{}", Uuid::new_v4().simple());
    let id = api.user(json!({ "s": secret })).await;
    assert!(stack.cli().run(&["log", "stats"]).expect(0).stdout.contains("users.events"));
    let stats = stack.cli().run(&["log", "stats", "--json"]).expect(0);
    assert!(stats.stdout.contains("users.events") && !stats.json_lines().is_empty());
    let status = stack.cli().run(&["projection", "status", "--json"]).expect(0);
    assert!(!status.json_lines().is_empty());
    assert!(!stack.cli().run(&["projection", "list", "--json"]).expect(0).json_lines().is_empty());
    api.get(&id).await.expect(200);
}

pub async fn a_taken_port_stops_the_start(stack: &'static Stack) {
    let port = free_port();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut cli = Cli::with(Default::default()).set("ROLLCALL_HOME", scratch("taken").to_str().unwrap());
    for name in ["DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS"] {
        cli = cli.set(name, stack.var(name));
    }
    let output = cli.set("ROLLCALL_ADDR", &format!("127.0.0.1:{port}")).run(&["run"]).expect(1);
    assert!(output.stderr.contains(&port.to_string()), "{output:?}");
}

pub async fn a_second_start_in_the_same_home_is_refused(stack: &'static Stack) {
    let second = stack.cli().set("ROLLCALL_ADDR", "127.0.0.1:0").run(&["run"]).expect(1);
    assert!(!second.stderr.is_empty());
    stack.tenant().list("").await.expect(200);
}
