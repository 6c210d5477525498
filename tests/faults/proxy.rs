//! A TCP proxy between engines and broker that understands as much of Kafka's frames as it needs to hold one request: a
//! frame is a length of four bytes, the kind of the request (two), its version (two), its correlation id (four).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// `EndTxn`.
const END: i16 = 26;
/// `AddOffsetsToTxn`: a transaction has its records and is about to end.
const ADD_OFFSETS: i16 = 25;
/// A held request is answered within.
const ANSWERED: Duration = Duration::from_secs(10);

/// What happens to the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// New connections are closed at once, open ones were reset.
    Cut,
    /// Connections stay open and nothing passes.
    Silent,
}

/// What became of a held end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The broker's answer to it when it came late: an error code, none when it gave no answer.
    pub late: Option<i16>,
}

/// The proxy; it listens until the process ends.
#[derive(Clone)]
pub struct Proxy(Arc<Sky>);

struct Sky {
    upstream: u16,
    weather: Mutex<Weather>,
    changed: Condvar,
    /// Both ends of every open connection.
    open: Mutex<Vec<(u64, TcpStream, TcpStream)>>,
    next: AtomicU64,
    /// Ends of transactions still to be held.
    to_hold: AtomicU64,
    /// The end that is held.
    held: Mutex<Option<Vec<u8>>>,
    settled: Mutex<Vec<Held>>,
}

impl Proxy {
    /// Listens on `port` and passes on to `upstream`.
    pub fn start(port: u16, upstream: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let sky = Arc::new(Sky {
            upstream,
            weather: Mutex::new(Weather::Fair),
            changed: Condvar::new(),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            to_hold: AtomicU64::new(0),
            held: Mutex::default(),
            settled: Mutex::default(),
        });
        let proxy = Proxy(Arc::clone(&sky));
        std::thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                sky.connect(client);
            }
        });
        proxy
    }

    /// Changes the weather. `Cut` resets what is open.
    pub fn set(&self, weather: Weather) {
        *self.0.weather.lock().unwrap() = weather;
        self.0.changed.notify_all();
        if weather == Weather::Cut {
            self.reset();
        }
    }

    /// Ends all open connections; new ones may come at once.
    pub fn reset(&self) {
        for (_, client, broker) in self.0.open.lock().unwrap().drain(..) {
            drop(client.shutdown(Shutdown::Both));
            drop(broker.shutdown(Shutdown::Both));
        }
    }

    /// Holds the next end of a transaction: its client is cut off and must ask again; the broker gets it in the middle
    /// of a later transaction.
    pub fn hold_next_end(&self) {
        self.0.to_hold.fetch_add(1, Ordering::SeqCst);
    }

    /// What became of those that were held.
    pub fn settled(&self) -> Vec<Held> {
        self.0.settled.lock().unwrap().clone()
    }
}

impl Sky {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        if *self.weather.lock().unwrap() == Weather::Cut {
            drop(client.shutdown(Shutdown::Both));
            return;
        }
        let Ok(broker) = TcpStream::connect(("127.0.0.1", self.upstream)) else { return };
        drop(client.set_nodelay(true));
        drop(broker.set_nodelay(true));
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let ends = || Some((client.try_clone().ok()?, broker.try_clone().ok()?));
        let (Some(there), Some(back), Some(kept)) = (ends(), ends(), ends()) else { return };
        self.open.lock().unwrap().push((number, kept.0, kept.1));
        let sky = Arc::clone(self);
        std::thread::spawn(move || {
            sky.requests(there.0, there.1);
            sky.close(number);
        });
        let sky = Arc::clone(self);
        std::thread::spawn(move || {
            sky.replies(back.1, back.0);
            sky.close(number);
        });
    }

    fn close(&self, number: u64) {
        let mut open = self.open.lock().unwrap();
        if let Some(at) = open.iter().position(|(one, ..)| *one == number) {
            let (_, client, broker) = open.swap_remove(at);
            drop(client.shutdown(Shutdown::Both));
            drop(broker.shutdown(Shutdown::Both));
        }
    }

    /// Waits while nothing may pass.
    fn wait(&self) {
        let weather = self.weather.lock().unwrap();
        drop(self.changed.wait_while(weather, |weather| *weather == Weather::Silent));
    }

    fn requests(&self, mut client: TcpStream, mut broker: TcpStream) {
        while let Some(frame) = frame(&mut client) {
            self.wait();
            let kind = i16::from_be_bytes([frame[4], frame[5]]);
            let take_one = |n: u64| n.checked_sub(1);
            if kind == END
                && self.held.lock().unwrap().is_none()
                && self.to_hold.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one).is_ok()
            {
                *self.held.lock().unwrap() = Some(frame);
                return;
            }
            if kind == ADD_OFFSETS {
                let held = self.held.lock().unwrap().take();
                if let Some(frame) = held {
                    let late = answer(self.upstream, &frame);
                    self.settled.lock().unwrap().push(Held { late });
                }
            }
            if broker.write_all(&frame).is_err() {
                return;
            }
        }
    }

    fn replies(&self, mut broker: TcpStream, mut client: TcpStream) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(n @ 1..) = broker.read(&mut bytes) {
            self.wait();
            if client.write_all(&bytes[..n]).is_err() {
                return;
            }
        }
    }
}

/// One frame with its length.
fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let n =
        usize::try_from(i32::from_be_bytes(length)).ok().filter(|n| (8..=200 << 20).contains(n));
    let mut frame = vec![0; 4 + n?];
    frame[..4].copy_from_slice(&length);
    from.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

/// Sends a held end of a transaction, as if the network had kept it, and reads the error code of its answer: after the
/// correlation id, tags in flexible versions (from 3 on), and four bytes of throttle time.
fn answer(port: u16, frame: &[u8]) -> Option<i16> {
    let mut broker = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let flexible = i16::from_be_bytes([frame[6], frame[7]]) >= 3;
    broker.set_read_timeout(Some(ANSWERED)).ok()?;
    broker.write_all(frame).ok()?;
    let mut length = [0; 4];
    broker.read_exact(&mut length).ok()?;
    let mut reply = vec![0; usize::try_from(i32::from_be_bytes(length)).ok()?];
    broker.read_exact(&mut reply).ok()?;
    let at = 8 + usize::from(flexible);
    Some(i16::from_be_bytes([*reply.get(at)?, *reply.get(at + 1)?]))
}
