//! Which page a query string asks for.

use actix_web::HttpRequest;
use service_kit::{
    cursor::Cursor,
    query::{PageRequest, page_parts},
    validation::ValidationErrors,
};

/// `limit` and `cursor` of a query string. Each is `None` if it is invalid.
pub(crate) struct PageParams {
    pub(crate) limit: Option<u32>,
    pub(crate) after: Option<Option<Cursor>>,
}

impl PageParams {
    /// Reads the query string.
    pub(crate) fn parse(request: &HttpRequest, errors: &mut ValidationErrors) -> Self {
        let (limit, after) = page_parts(request);
        Self { limit: errors.check(limit), after: errors.check(after) }
    }

    /// The page, if both parts are valid.
    pub(crate) fn page(&self) -> Option<PageRequest> {
        self.limit.zip(self.after).map(|(limit, after)| PageRequest { limit, after })
    }
}
