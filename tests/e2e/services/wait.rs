//! Waiting for a level: look, and look again, until it is so or the time is up. The only sleep of these tests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives something. The error is what `look` last said was missing.
pub fn until<T>(
    within: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let end = Instant::now() + within;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(reason) if Instant::now() >= end => {
                return Err(format!("{reason} (waited {within:?})"));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// One plain HTTP request to this machine: status and body.
pub fn http_get(port: u16, path: &str) -> Result<(u16, String), String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    };
    let reply = ask().map_err(|error| format!("GET {path} on port {port}: {error}"))?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or("a reply without an end of headers")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok((status.ok_or("a reply without a status")?, body.to_owned()))
}
