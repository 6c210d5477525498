//! A TCP proxy between engines and broker that understands as much of Kafka's frames as it needs to hold one request: a
//! frame is a length of four bytes, the kind of the request (two), its version (two), its correlation id (four), the
//! client's name (its length in two, then its bytes).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// `EndTxn`.
const END: i16 = 26;
/// `InitProducerId`: a new producer, or a new life of one.
const INIT: i16 = 22;
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

/// Ends of transactions that never are answered, whether the broker got them or not.
#[derive(Default)]
struct Losses {
    /// Whether the broker gets the next ones.
    wanted: Vec<bool>,
    /// Clients that ask in vain until they make a new producer, and whether the broker got their end.
    under_way: BTreeMap<String, bool>,
    /// Clients whose next end passes: an engine that needs five new producers between two commits gives up.
    spared: BTreeSet<String>,
    /// How many were applied and how many were not, of those that led to a new producer.
    done: (usize, usize),
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
    losses: Mutex<Losses>,
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
            losses: Mutex::default(),
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

    /// The next client that ends a transaction is not answered, nor when it asks again, until it has made a new producer.
    /// The broker gets that end (`applied`) or does not.
    pub fn lose_next_end(&self, applied: bool) {
        self.0.losses.lock().unwrap().wanted.push(applied);
    }

    /// Ends that are to be lost or whose client has no new producer yet.
    pub fn losing(&self) -> usize {
        let losses = self.0.losses.lock().unwrap();
        losses.wanted.len() + losses.under_way.len()
    }

    /// Ends that were lost: those that were applied, and those that were not.
    pub fn lost(&self) -> (usize, usize) {
        self.0.losses.lock().unwrap().done
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
            if self.is_lost(kind, &frame) || broker.write_all(&frame).is_err() {
                return;
            }
        }
    }

    /// Whether this is an end that is to be lost: its connection is to be closed.
    fn is_lost(&self, kind: i16, frame: &[u8]) -> bool {
        let Some(client) = client(frame).filter(|_| matches!(kind, END | INIT)) else {
            return false;
        };
        let applied = {
            let mut losses = self.losses.lock().unwrap();
            if kind == INIT {
                match losses.under_way.remove(&client) {
                    Some(true) => losses.done.0 += 1,
                    Some(false) => losses.done.1 += 1,
                    None => return false,
                }
                losses.spared.insert(client);
                return false;
            }
            if losses.under_way.contains_key(&client) {
                return true;
            }
            if losses.spared.remove(&client) {
                return false;
            }
            let Some(applied) = losses.wanted.pop() else { return false };
            losses.under_way.insert(client.clone(), applied);
            applied
        };
        if applied && answer(self.upstream, frame) != Some(0) {
            self.losses.lock().unwrap().under_way.insert(client, false);
        }
        true
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

/// The name of the client that sent a request.
fn client(frame: &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?));
    Some(String::from_utf8_lossy(frame.get(14..14 + length)?).into_owned())
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
