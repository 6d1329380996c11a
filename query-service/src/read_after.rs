//! `Read-After`: a read is answered once the read model has caught up with the log, and once the
//! write that the header names is visible.

use actix_web::HttpRequest;
use read_model::projection_position::{ProjectionPosition, WaitError};
use service_kit::{
    position::LogPosition,
    problem::{Location, Problem},
};
use std::time::{Duration, Instant};

const HEADER: &str = "Read-After";

/// The position that a request names, if any.
///
/// # Errors
/// 400: the header is repeated or is not a position.
pub(crate) fn parse(request: &HttpRequest) -> Result<Option<LogPosition>, Problem> {
    let mut values = request.headers().get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let refuse = |msg: &str| Problem::invalid(Some(&text), msg, HEADER, Location::Headers);
    match values.next() {
        Some(_) => Err(refuse("Given more than once")),
        None => text.parse().map(Some).map_err(|_| refuse("Invalid value")),
    }
}

/// Waits until the position is visible, if there is one.
///
/// # Errors
/// 400: there is no such partition, or the position belongs to another log. 503: the position was
/// not reached in time, or the read model may lack deletions that are in the log, because it was
/// restored or because it is not confirmed yet that it was not.
pub(crate) async fn await_position(
    projection: &ProjectionPosition,
    position: Option<LogPosition>,
    timeout: Duration,
) -> Result<(), Problem> {
    if projection.catching_up().is_some() {
        return Err(Problem::unavailable("The read model is catching up with the log: read again", 1));
    }
    let Some(position) = position else { return Ok(()) };
    let deadline = Instant::now() + timeout;
    let invalid = |msg: &str| Problem::invalid(Some(&position.to_string()), msg, HEADER, Location::Headers);
    projection.await_position(position, deadline).await.map_err(|error| match error {
        WaitError::TimedOut => Problem::unavailable("The position in Read-After is not visible yet", 1),
        WaitError::NoSuchPartition => invalid("No such partition"),
        WaitError::AnotherLog => invalid("The position belongs to a log that no longer exists"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use service_kit::position::Position;

    fn parsed(values: &[&str]) -> Result<Option<LogPosition>, Problem> {
        let request = values.iter().fold(TestRequest::get(), |r, value| r.append_header((HEADER, *value)));
        parse(&request.to_http_request())
    }

    #[test]
    fn one_position_or_none() {
        assert_eq!(parsed(&[]), Ok(None));
        let position = |epoch| LogPosition { epoch, at: Position { partition: 3, offset: 14 } };
        assert_eq!(parsed(&["3:14"]), Ok(Some(position(1))));
        assert_eq!(parsed(&["3:14:2"]), Ok(Some(position(2))));
        for bad in [&["x"][..], &[""], &["3:14", "3:14"], &["3:14, 3:15"], &["3:14:0"], &["3:14:1:1"]] {
            let detail = parsed(bad).unwrap_err().details.remove(0);
            assert_eq!((detail.param.as_str(), detail.location), ("Read-After", Location::Headers));
        }
    }
}
