//! Free ports. They are taken from below the range that the system gives to outgoing connections: a service that is
//! restarted finds its port still free, and a client that reconnects to a dead one can't end up talking to itself.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port nobody listened on a moment ago, another one with each call. Another process may still take it before its
/// user does: whoever starts a service tries again with the next.
pub fn free() -> u16 {
    // Runs at the same time begin in different places.
    let offset = std::process::id().wrapping_mul(101);
    (0..COUNT)
        .map(|_| FIRST + offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of twelve thousand ports is free")
}
