//! Reading a topic to where it ended when it was opened.

use std::time::Duration;

use super::{Follower, Record, StreamError, StreamErrorKind};

/// Longest wait for one batch of records that are there.
const WAIT: Duration = Duration::from_secs(5);
/// Waits in a row that may bring nothing before it counts as stuck.
const EMPTY: usize = 6;

/// The next records that stood there when it was opened; none when all of them were delivered. `what` names what is read,
/// for the error of a log that gives no more.
pub async fn rest(
    follower: &mut dyn Follower,
    what: &str,
) -> Result<Option<Vec<Record>>, StreamError> {
    let mut empty = 0;
    while !follower.caught_up() {
        let records = follower.next(WAIT).await?;
        if !records.is_empty() {
            return Ok(Some(records));
        }
        empty += 1;
        if empty == EMPTY && !follower.caught_up() {
            return Err(StreamError {
                kind: StreamErrorKind::Unavailable,
                message: format!("`{what}` can't be read to its end"),
            });
        }
    }
    Ok(None)
}
