//! Query strings: `limit` and `cursor`, refused when repeated, empty or not plain.
// STUB: filled in by the lead.

use crate::{cursor::Cursor, problem::Problem};
use actix_web::HttpRequest;

/// How many entries a page has when nothing is said.
pub const DEFAULT_LIMIT: u32 = 100;
/// The most entries of a page.
pub const MAX_LIMIT: u32 = 1000;

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// 1..=1000
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

/// `limit` and `cursor` of the query string, each by itself so that analytics can tell what did validate.
pub fn page_parts(_request: &HttpRequest) -> (Result<u32, Problem>, Result<Option<Cursor>, Problem>) {
    unimplemented!()
}
