//! The page that shows the contract: one file, with a policy that allows only its own script.

use super::document::{Document, digest};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page with style and script inlined.
pub(super) fn page() -> Document {
    Document::html(PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT), policy())
}

/// Style and script are allowed by their digests. With trusted types, no text ever becomes markup.
fn policy() -> String {
    let (style, script) = (digest(STYLE.as_bytes()), digest(SCRIPT.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}
