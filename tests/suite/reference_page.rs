//! `/docs` in a browser: it loads from this service alone, shows both documents, and makes a call.

use reqwest::Method;
use serde_json::json;
use tests::{Api, Browser, Stack};

/// What the page is expected to show.
struct Expected {
    url: String,
    token: String,
    /// The title of an operation.
    operation: String,
    /// The title of a channel.
    channel: String,
    /// A claim of a user.
    claim: &'static str,
}

impl Expected {
    async fn of(stack: &Stack, api: &Api) -> Self {
        let openapi = api.path(Method::GET, "/openapi.json").await.expect(200).json();
        let asyncapi = api.path(Method::GET, "/asyncapi.json").await.expect(200).json();
        let channels = asyncapi["channels"].as_object().unwrap();
        Self {
            url: stack.url().to_owned(),
            token: api.token.clone().unwrap(),
            operation: openapi["paths"]["/core/v1/users"]["get"]["summary"].as_str().unwrap().to_owned(),
            channel: channels.values().next().unwrap()["title"].as_str().unwrap().to_owned(),
            claim: "seen-in-the-page",
        }
    }
}

/// Clicks the first element of a kind with this text.
fn click(browser: &mut Browser, kind: &str, text: &str) {
    browser.wait_for(&format!(
        "(found => found && (found.click(), true))
           ([...document.querySelectorAll({kind:?})].find(found => found.innerText.includes({text:?})))"
    ));
}

fn sees(browser: &mut Browser, text: &str) {
    browser.wait_for(&format!("document.body?.innerText.includes({text:?})"));
}

/// Reads both documents, and lists the users of a tenant with its token.
fn visit(browser: &mut Browser, expected: &Expected) {
    browser.resize(390, 900);
    browser.open(&format!("{}/docs?api=kafka", expected.url));
    sees(browser, &expected.channel);
    browser.resize(1280, 900);
    browser.open(&format!("{}/", expected.url));
    sees(browser, &expected.operation);
    browser.wait_for(
        "(field => field && (field.focus(), true))(document.querySelector('input[placeholder=Token]'))",
    );
    browser.type_text(&expected.token);
    // The page makes a section when it comes into view.
    click(browser, "a", &expected.operation);
    click(browser, "button", "(get /core/v1/users)");
    click(browser, "button", "Send get request");
    sees(browser, expected.claim);
}

pub async fn the_page_works_in_a_browser(stack: &'static Stack) {
    let api = stack.tenant();
    let expected = Expected::of(stack, &api).await;
    api.user(json!({ "marker": expected.claim })).await;
    let visited = tokio::task::spawn_blocking(move || {
        let mut browser = Browser::start()?;
        visit(&mut browser, &expected);
        Some(browser)
    });
    let Some(browser) = visited.await.unwrap() else {
        eprintln!("reference_page: skipped, because no Chromium is installed (Debian package chromium)");
        return;
    };
    assert!(browser.complaints().is_empty(), "{:#?}", browser.complaints());
    let is_ours = |url: &&str| url.starts_with(stack.url()) || url.starts_with("data:");
    let (ours, foreign): (Vec<_>, Vec<_>) = browser.requested().into_iter().partition(is_ours);
    assert!(foreign.is_empty(), "{foreign:?}");
    // What is optional was left out of the call.
    assert!(ours.iter().any(|url| url.ends_with("/core/v1/users")), "{ours:?}");
}

pub async fn head_is_answered_wherever_get_is(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let user = format!("/core/v1/users/{id}");
    let paths = [
        "/docs",
        "/docs/scalar.js",
        "/openapi.json",
        "/asyncapi.json",
        "/metrics",
        "/health/live",
        "/v1/users",
        &user,
    ];
    for path in paths {
        let got = api.path(Method::GET, path).await.expect(200);
        let head = api.path(Method::HEAD, path).await.expect(200);
        assert_eq!((head.text(), head.find("etag")), ("", got.find("etag")), "{path}");
    }
}
