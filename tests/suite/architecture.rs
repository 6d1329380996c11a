//! Checks the table of ARCHITECTURE.md, "Who may use whom", against manifests and sources.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use tests::workspace;

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(workspace().join("Cargo.toml")).no_deps().exec().unwrap()
}

fn package<'m>(metadata: &'m Metadata, name: &str) -> &'m Package {
    metadata.packages.iter().find(|package| package.name == name).unwrap_or_else(|| panic!("no crate {name}"))
}

fn dependencies(metadata: &Metadata, name: &str) -> BTreeSet<String> {
    let all = &package(metadata, name).dependencies;
    all.iter().filter(|d| d.kind == DependencyKind::Normal).map(|d| d.name.clone()).collect()
}

/// The dependencies of a crate within this workspace.
fn ours(metadata: &Metadata, name: &str) -> BTreeSet<String> {
    let members: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    dependencies(metadata, name).intersection(&members).cloned().collect()
}

/// The Rust files below a directory, with their text outside of tests and comments.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&workspace().join(dir), &mut found);
    assert!(!found.is_empty(), "no sources in {dir}");
    found
}

fn collect(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, code(&text)));
        }
    }
}

/// A file without its unit tests and comments.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The first names after `krate::`, in a path or in a group.
fn names_used(code: &str, krate: &str) -> BTreeSet<String> {
    let name = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    let mut used = BTreeSet::new();
    for (at, found) in code.match_indices(&format!("{krate}::")) {
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(group) => used.extend(top_level(group).iter().map(|item| name(item))),
            None => drop(used.insert(name(rest))),
        }
    }
    used.remove("");
    used
}

/// The items of a `{…}` group. Inner groups stay whole.
fn top_level(group: &str) -> Vec<String> {
    let (mut items, mut depth) = (vec![String::new()], 0);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                items.last_mut().unwrap().push(c);
            }
        }
    }
    items
}

#[track_caller]
fn only(what: &str, used: &BTreeSet<String>, allowed: &[&str]) {
    let others: Vec<_> = used.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{what} may not use {others:?}");
}

fn none_of(dir: &str, forbidden: &[&str]) {
    for (path, code) in sources(dir) {
        for word in forbidden {
            assert!(!code.contains(word), "{} must not say `{word}`", path.display());
        }
    }
}

pub async fn crates_depend_on_what_the_table_allows() {
    let metadata = metadata();
    let vocabulary = ["base64", "serde", "serde_json", "uuid", "time", "schemars", "thiserror", "sha2"];
    only("events-schema", &dependencies(&metadata, "events-schema"), &vocabulary);
    for (krate, allowed) in [
        ("service-kit", &["events-schema"][..]),
        ("domain", &["events-schema"]),
        ("key-store", &["domain", "service-kit"]),
        ("read-model", &["events-schema", "domain", "key-store", "service-kit"]),
        ("event-log", &["events-schema", "read-model", "service-kit"]),
        ("projections", &["events-schema", "service-kit"]),
        ("privacy", &["events-schema", "domain", "event-log", "key-store", "read-model", "service-kit"]),
        (
            "command-service",
            &["events-schema", "domain", "event-log", "key-store", "read-model", "service-kit"],
        ),
        (
            "projector",
            &[
                "events-schema",
                "domain",
                "event-log",
                "key-store",
                "privacy",
                "projections",
                "read-model",
                "service-kit",
            ],
        ),
        ("query-service", &["events-schema", "read-model", "service-kit"]),
    ] {
        only(krate, &ours(&metadata, krate), allowed);
    }
    assert!(!dependencies(&metadata, "query-service").contains("rdkafka"), "query-service reads no log");
}

pub async fn the_kit_does_not_know_users() {
    for (path, code) in sources("libs/service-kit/src") {
        let used = names_used(&code, "events_schema");
        only(
            &path.display().to_string(),
            &used,
            &["TenantId", "Timestamp", "millis", "analytics", "topics", "Headers", "CONTENT_TYPE", "SOURCE"],
        );
    }
    none_of("libs/service-kit/src", &["live.users", "live.credentials", "live.tombstones"]);
}

pub async fn deciding_and_folding_are_pure() {
    let io = [
        "actix",
        "sqlx",
        "rdkafka",
        "redis",
        "tokio",
        "reqwest",
        "std::fs",
        "std::net",
        "std::env",
        "async fn",
        "service_kit",
    ];
    let clock = ["SystemTime", "Instant", "now_utc", "now_local", "now_v7", "new_v4"];
    none_of("libs/domain/src", &io);
    // A data key for tests has a random id.
    for (path, code) in sources("libs/domain/src") {
        let word = clock.iter().find(|word| code.contains(**word));
        let is_key = path.ends_with("codec/data_key.rs") && word == Some(&"new_v4");
        assert!(word.is_none() || is_key, "{} must not say {word:?}", path.display());
    }
}

pub async fn queries_only_read() {
    for (path, code) in sources("query-service/src") {
        let used = names_used(&code, "events_schema");
        only(
            &path.display().to_string(),
            &used,
            &["TenantId", "UserKey", "Timestamp", "analytics", "schema"],
        );
    }
    none_of(
        "query-service/src",
        &[
            "INSERT ",
            "UPDATE ",
            "DELETE FROM",
            "TRUNCATE",
            "Consumer",
            "rdkafka",
            "\"SET\"",
            "\"DEL\"",
            "\"EVAL\"",
            "generation_",
        ],
    );
    none_of(
        "command-service/src",
        &["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "TRUNCATE", "generation_", "live.", "rollcall."],
    );
}

pub async fn a_projection_knows_nothing_but_its_events() {
    for (path, code) in sources("libs/projections/src") {
        let used = names_used(&code, "service_kit");
        only(&path.display().to_string(), &used, &["failpoint"]);
    }
    let clock = ["SystemTime", "Instant", "now_utc", "now_local", "now_v7", "new_v4", "now()"];
    let io = ["rdkafka", "redis", "tokio", "reqwest", "std::fs", "std::net", "std::env"];
    none_of("libs/projections/src", &[&clock[..], &io].concat());
    let others = CRATES.into_iter().filter(|krate| !["libs/projections", "libs/read-model"].contains(krate));
    for krate in others {
        // Its tables have one owner: the schema's name is filled in for `{p}`.
        none_of(&format!("{krate}/src"), &["{p}.", "projection_statistics"]);
    }
}

/// The directories of all crates except the tests.
const CRATES: [&str; 13] = [
    "bench",
    "command-service",
    "events-schema",
    "libs/domain",
    "libs/event-log",
    "libs/key-store",
    "libs/privacy",
    "libs/projections",
    "libs/read-model",
    "libs/service-kit",
    "projector",
    "query-service",
    "rollcall",
];

pub async fn the_read_model_has_one_owner() {
    let names_table = |code: &str| {
        ["FROM ", "JOIN ", "INTO ", "UPDATE ", "TABLE "].iter().any(|verb| {
            ["live.", "rollcall.", "generation_", "{g}."]
                .iter()
                .any(|schema| code.contains(&format!("{verb}{schema}")))
        })
    };
    let mut found = BTreeSet::new();
    // The benchmark copies a table for the twin that it compares the service with.
    let others = CRATES.into_iter().filter(|krate| !["libs/read-model", "bench"].contains(krate));
    for krate in others {
        for (path, code) in sources(&format!("{krate}/src")) {
            if names_table(&code) {
                found.insert(path.strip_prefix(workspace()).unwrap().display().to_string());
            }
        }
    }
    assert!(found.is_empty(), "{found:?} name tables of the read model");
}

/// The top-level modules that each top-level module of a crate uses.
fn modules(krate: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = workspace().join(krate).join("src");
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, code) in sources(&format!("{krate}/src")) {
        let below = path.strip_prefix(&root).unwrap();
        let module = below.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        if module != "lib" && module != "main" {
            modules.entry(module).or_default().extend(names_used(&code, "crate"));
        }
    }
    let names: BTreeSet<String> = modules.keys().cloned().collect();
    modules.values_mut().for_each(|used| used.retain(|name| names.contains(name)));
    modules
}

fn reached(modules: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(module) = open.pop() {
        for next in modules.get(&module).into_iter().flatten() {
            if *next != module && reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

pub async fn modules_form_no_circle() {
    for krate in CRATES {
        let modules = modules(krate);
        let circles: Vec<_> =
            modules.keys().filter(|module| reached(&modules, module).contains(*module)).collect();
        assert!(circles.is_empty(), "{krate}: {circles:?} use one another");
    }
    let circle = [("a", "b"), ("b", "c"), ("c", "a")];
    let circle = circle.map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()]))).into();
    assert!(reached(&circle, "a").contains("a"), "a circle is found");
}

pub async fn a_main_is_small() {
    for program in ["command-service", "query-service", "projector", "rollcall"] {
        let main = fs::read_to_string(workspace().join(program).join("src/main.rs")).unwrap();
        assert!(main.lines().count() <= 40, "{program}'s main.rs has {} lines", main.lines().count());
    }
}

pub async fn no_log_line_contains_personal_data() {
    let personal = ["claims", "subject", "personal", "token", "password", "authentication_provider"];
    for member in [
        "libs/service-kit",
        "libs/key-store",
        "libs/domain",
        "libs/read-model",
        "libs/event-log",
        "libs/privacy",
        "libs/projections",
        "command-service",
        "query-service",
        "projector",
        "rollcall",
    ] {
        for (path, code) in sources(&format!("{member}/src")) {
            for call in log_calls(&code) {
                let named: Vec<_> = personal.iter().filter(|word| call.contains(*word)).collect();
                assert!(named.is_empty(), "{}: a log line names {named:?}: {call}", path.display());
            }
        }
    }
}

/// Test builds read one more version of an event type. Neither a release nor a document for consumers
/// knows it.
pub async fn a_release_knows_no_version_of_the_tests() {
    const NAME: &str = "user.updated.v2";
    let upcast = fs::read_to_string(workspace().join("events-schema/src/upcast.rs")).unwrap();
    let lines: Vec<&str> = upcast.lines().map(str::trim).collect();
    let uses: Vec<usize> = (0..lines.len()).filter(|n| lines[*n].contains("test_version")).collect();
    assert_eq!(uses.len(), 2, "the module and its entry");
    for line in uses {
        assert_eq!(lines[line - 1], "#[cfg(feature = \"failpoints\")]", "{}", lines[line]);
    }
    for package in metadata().packages {
        let default = package.features.get("default").cloned().unwrap_or_default();
        assert!(!default.iter().any(|feature| feature.contains("failpoints")), "{}", package.name);
    }
    for krate in CRATES {
        for (path, code) in sources(&format!("{krate}/src")) {
            assert!(!code.contains(NAME) || path.ends_with("upcast/test_version.rs"), "{}", path.display());
        }
    }
    for documents in ["docs", "events-schema", "events-schema/schemas", "query-service/src/contract"] {
        for entry in fs::read_dir(workspace().join(documents)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            assert!(!text.contains(NAME), "{} names {NAME}", path.display());
        }
    }
}

/// Not all mutants are run after each change, so this test notices patches that do not apply any
/// more.
pub async fn each_mutant_still_applies() {
    let mut hunks = 0;
    for entry in fs::read_dir(workspace().join("tests/mutants")).unwrap() {
        let path = entry.unwrap().path();
        let patch = fs::read_to_string(&path).unwrap();
        for file in patch.split("\n--- a/").skip(1) {
            let (name, rest) = file.split_once('\n').unwrap();
            let source = fs::read_to_string(workspace().join(name)).unwrap();
            let source: Vec<&str> = source.lines().collect();
            for hunk in rest.split("\n@@ ").skip(1) {
                let old = hunk.lines().skip(1).filter(|line| line.starts_with([' ', '-']));
                let old: Vec<&str> = old.map(|line| &line[1..]).collect();
                let is_there = source.windows(old.len()).any(|lines| lines == old);
                assert!(is_there, "{}: not in {name}: {old:?}", path.display());
                hunks += 1;
            }
        }
    }
    assert!(hunks > 0, "no mutants");
}

/// The arguments of tracing's macros, without texts.
fn log_calls(code: &str) -> Vec<String> {
    let macros =
        ["trace!(", "debug!(", "info!(", "warn!(", "error!(", "info_span!(", "debug_span!(", "span!("];
    let starts = macros.iter().flat_map(|name| code.match_indices(name));
    starts.map(|(at, name)| without_texts(&code[at + name.len()..])).collect()
}

fn without_texts(arguments: &str) -> String {
    let (mut depth, mut inside, mut kept) = (0, false, String::new());
    for c in arguments.chars() {
        match c {
            '"' => inside = !inside,
            ')' if !inside && depth == 0 => break,
            _ if inside => {}
            _ => {
                depth += i32::from(c == '(') - i32::from(c == ')');
                kept.push(c);
            }
        }
    }
    kept
}
