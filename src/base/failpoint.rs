//! Points at which a test may end or hold the process, by name, so that it dies exactly there. Without the feature
//! `failpoints`, which no release has, a point compiles to nothing.
//!
//! What is armed is a text: `POINT[?MATTER]=ACTION[@N]`, several separated by `;`. The point acts when it is reached for
//! the `N`th time (the first when left out) with a matter that has those words in it. Actions: `abort` ends the process
//! there, with no chance to tidy up; `abort+2ms` lets it go on and ends it after that time; `hold` stops that thread for
//! ever.
//!
//! ```text
//! commit.before-end=abort@3;stage.run?poison=abort
//! ```

#[cfg(any(test, feature = "failpoints"))]
mod armed;

/// The process is at a point.
#[inline(always)]
pub fn reached(point: &'static str) {
    reached_with(point, String::new);
}

/// The process is at a point with what `matter` says, which is asked only where something is armed.
#[inline(always)]
#[cfg_attr(not(feature = "failpoints"), expect(unused_variables, reason = "nothing is armed"))]
pub fn reached_with(point: &'static str, matter: impl FnOnce() -> String) {
    #[cfg(feature = "failpoints")]
    live::reached(point, matter);
}

#[cfg(feature = "failpoints")]
pub use live::arm;

#[cfg(feature = "failpoints")]
mod live {
    use std::sync::OnceLock;
    use std::thread;

    use super::armed::{Action, Point, parse};

    static ARMED: OnceLock<Vec<Point>> = OnceLock::new();

    /// Arms points for the life of the process; a second call changes nothing. The error says what can't be read.
    pub fn arm(text: &str) -> Result<(), String> {
        let points = parse(text)?;
        ARMED.get_or_init(|| points);
        Ok(())
    }

    pub(super) fn reached(name: &str, matter: impl FnOnce() -> String) {
        let Some(points) = ARMED.get() else { return };
        let mut here = points.iter().filter(|point| point.name == name).peekable();
        if here.peek().is_none() {
            return;
        }
        let matter = matter();
        here.filter_map(|point| point.pass(&matter)).for_each(act);
    }

    fn act(action: Action) {
        match action {
            Action::Abort => std::process::abort(),
            Action::AbortIn(time) => {
                let end = move || {
                    thread::park_timeout(time);
                    std::process::abort()
                };
                drop(thread::spawn(end));
            }
            Action::Hold => loop {
                thread::park();
            },
        }
    }
}
