//! The first signal asks the engine to finish what runs; the second ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::print;

/// Turns true at the first SIGINT or SIGTERM.
pub fn stop() -> Result<watch::Receiver<bool>, std::io::Error> {
    let (asked, stop) = watch::channel(false);
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::spawn(async move {
        next().await;
        print::note("finishing what runs; once more to stop at once");
        asked.send_replace(true);
        next().await;
        #[expect(clippy::exit, reason = "the second signal asks for exactly this")]
        std::process::exit(130);
    });
    Ok(stop)
}
