//! The engine that is measured, as a process: what the system says of it, and what it says of itself.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::telemetry::names;

/// Ticks of `/proc/<pid>/stat` in a second: fixed on Linux, whatever the kernel counts in.
const TICKS: u64 = 100;
/// How long the engine may take to be ready.
const START: Duration = Duration::from_secs(60);
/// Between two looks whether it is.
const AGAIN: Duration = Duration::from_millis(50);
/// How long its page may take.
const PAGE: Duration = Duration::from_secs(5);
/// How long it may take to finish what runs.
const LEAVE: Duration = Duration::from_secs(30);

/// See the module. Dropped, it is killed.
pub struct Process {
    child: Child,
    address: String,
}

impl Process {
    /// Starts it, and waits until it is ready. It ends when its standard input does.
    pub async fn start(
        program: &Path,
        arguments: Vec<std::ffi::OsString>,
        address: String,
    ) -> Result<Self, String> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| format!("can't start the engine: {error}"))?;
        let mut process = Process { child, address };
        let until = Instant::now() + START;
        loop {
            if process.has_ended() {
                return Err("the engine did not start; what it said stands above".to_owned());
            }
            match get(&process.address, "/ready").await {
                Ok(page) if page.starts_with("HTTP/1.1 200") => return Ok(process),
                Ok(page) if Instant::now() > until => {
                    let why = page.rsplit("\r\n\r\n").next().unwrap_or_default().trim();
                    return Err(format!("the engine is not ready: {why}"));
                }
                Err(error) if Instant::now() > until => {
                    return Err(format!("the engine does not answer: {error}"));
                }
                Ok(_) | Err(_) => sleep(AGAIN).await,
            }
        }
    }

    /// Whether it is gone.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|end| end.is_some())
    }

    /// Lets it finish what runs, and ends it.
    pub async fn leave(mut self) {
        drop(self.child.stdin.take());
        let until = Instant::now() + LEAVE;
        while !self.has_ended() && Instant::now() < until {
            sleep(AGAIN).await;
        }
    }

    /// User and system time of all its threads since its start; none where the system does not say it.
    pub fn cpu(&self) -> Option<Duration> {
        cpu(self.child.id())
    }

    /// Resident memory now, and the most it ever was, in MiB; none where the system does not say it.
    pub fn memory(&self) -> Option<(f64, f64)> {
        memory(self.child.id())
    }

    /// Where its time went so far.
    pub async fn doors(&self) -> Result<Doors, String> {
        let page = get(&self.address, "/metrics").await;
        Ok(Doors::read(&page.map_err(|error| format!("its metrics can't be read: {error}"))?))
    }
}

/// User and system time of all threads of a process since its start; none where the system does not say it.
pub fn cpu(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS))
}

/// Resident memory of a process now, and the most it ever was, in MiB; none where the system does not say it.
pub fn memory(pid: u32) -> Option<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    Some((field("VmRSS:")? / 1024.0, field("VmHWM:")? / 1024.0))
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn get(address: &str, path: &str) -> std::io::Result<String> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        Ok(page)
    };
    timeout(PAGE, answer).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// A histogram's sum in seconds, and its count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    /// Seconds.
    pub sum: f64,
    /// Observations.
    pub count: f64,
}

impl Total {
    /// What came since an earlier look.
    pub fn since(&self, before: &Total) -> Total {
        Total { sum: self.sum - before.sum, count: self.count - before.count }
    }

    fn mean_ms(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count * 1e3 } else { 0.0 }
    }

    fn read(page: &str, name: &str) -> Total {
        let name = name.replace('.', "_");
        let mut total = Total::default();
        for line in page.lines() {
            let Some(rest) = line.strip_prefix(&*name) else { continue };
            let value = line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
            // The unit may stand between the name and its end.
            let end = rest.split(['{', ' ']).next().unwrap_or_default();
            match value {
                Some(value) if end.ends_with("_sum") => total.sum += value,
                Some(value) if end.ends_with("_count") => total.count += value,
                _ => {}
            }
        }
        total
    }
}

/// What the engine says of the corridor, by door.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doors {
    queue: Total,
    run: Total,
    overhead: Total,
    calls: Total,
    /// Commits.
    pub commits: Total,
}

impl Doors {
    fn read(page: &str) -> Doors {
        Doors {
            queue: Total::read(page, names::EVENT_QUEUE),
            run: Total::read(page, names::EVENT_DURATION),
            overhead: Total::read(page, names::EVENT_OVERHEAD),
            calls: Total::read(page, names::OPERATION_DURATION),
            commits: Total::read(page, names::COMMIT_DURATION),
        }
    }

    /// Means since an earlier look, in milliseconds, in the order in which an event meets them.
    pub fn since(&self, before: &Doors) -> Vec<(&'static str, f64)> {
        let mean = |now: Total, before: Total| now.since(&before).mean_ms();
        vec![
            ("record to admission", mean(self.queue, before.queue)),
            ("admission to last stage", mean(self.run, before.run)),
            ("of it outside of calls", mean(self.overhead, before.overhead)),
            ("one call", mean(self.calls, before.calls)),
            ("one commit", mean(self.commits, before.commits)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Total;

    #[test]
    fn a_histogram_is_summed_over_its_labels_and_no_other_is() {
        let page = "vivremotion_event_queue_seconds_sum{a=\"1\"} 2.5\n\
                    vivremotion_event_queue_seconds_count{a=\"1\"} 10\n\
                    vivremotion_event_queue_seconds_sum{a=\"2\"} 0.5\n\
                    vivremotion_event_queue_seconds_count{a=\"2\"} 5\n\
                    vivremotion_event_duration_seconds_sum 9\n";
        let total = Total::read(page, "vivremotion.event.queue");
        assert_eq!(total, Total { sum: 3.0, count: 15.0 });
        assert_eq!(total.mean_ms(), 200.0);
    }
}
