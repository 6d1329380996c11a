//! Ids in the path.

use crate::problem::{Location, Problem};
use actix_web::HttpRequest;
use uuid::Uuid;

/// The id in the path parameter of that name.
///
/// # Errors
/// 400: it is not a UUID.
pub fn id(request: &HttpRequest, name: &'static str) -> Result<Uuid, Problem> {
    let text = request.match_info().query(name);
    uuid(text).ok_or_else(|| Problem::invalid(Some(text), "Invalid value", name, Location::Params))
}

/// A UUID in its hyphenated form, in any letter case. The API does not accept its other forms.
pub fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == uuid::fmt::Hyphenated::LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_in_any_letter_case() {
        let id = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";
        assert_eq!(uuid(id), uuid(&id.to_uppercase()));
        for bad in [
            "",
            "x",
            "search",
            "c3fad74-a8df-4a2d-8e75-f2d356b413ba",
            "0c3fad74a8df4a2d8e75f2d356b413ba",
            "{0c3fad74-a8df-4a2d-8e75-f2d356b413ba}",
            "urn:uuid:0c3fad74-a8df-4a2d-8e75-f2d356b413ba",
            "0c3fad74-a8df-4a2d-8e75-f2d356b413bg",
        ] {
            assert_eq!(uuid(bad), None, "{bad}");
        }
    }
}
