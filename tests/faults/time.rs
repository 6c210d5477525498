//! Time of the machine, which the model server's ledger is in too, and pauses between faults.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Lets time pass.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
