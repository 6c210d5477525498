//! Where events run: current-thread runtimes, one per core. An event stays on the one it started on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// A fixed set of runtimes. When it is dropped they stop at once, and with them everything that still runs there.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts that many threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (mut handles, mut joins) = (Vec::new(), Vec::new());
        for number in 0..threads.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let mut stopped = stopped.clone();
            let name = format!("worker-{number}");
            joins.push(std::thread::Builder::new().name(name).spawn(move || {
                runtime.block_on(async move { drop(stopped.wait_for(|stop| *stop).await) });
                runtime.shutdown_background();
            })?);
        }
        Ok(Workers { handles, next: AtomicUsize::new(0), stop, threads: joins })
    }

    /// The runtime of the caller, alone: for tests that hold the clock.
    pub fn here() -> Self {
        let (stop, _) = watch::channel(false);
        let handles = vec![Handle::current()];
        Workers { handles, next: AtomicUsize::new(0), stop, threads: Vec::new() }
    }

    /// The next runtime in turn.
    pub fn pick(&self) -> &Handle {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.handles[next % self.handles.len()]
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}
