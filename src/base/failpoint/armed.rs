//! What the text of armed points means.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::quantity::Span;

/// Longest time that a process lives on after an `abort+TIME`.
const LATEST: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Abort,
    AbortIn(Duration),
    Hold,
}

#[derive(Debug)]
pub(super) struct Point {
    #[cfg_attr(
        not(feature = "failpoints"),
        expect(dead_code, reason = "only an armed process looks for its point")
    )]
    pub name: String,
    matter: String,
    action: Action,
    /// Which time it acts, from 1.
    at: u64,
    reached: AtomicU64,
}

impl Point {
    /// What is to be done now, if anything.
    pub fn pass(&self, matter: &str) -> Option<Action> {
        let fits = matter.contains(&self.matter);
        let nth = fits.then(|| self.reached.fetch_add(1, Ordering::SeqCst) + 1)?;
        (nth == self.at).then_some(self.action)
    }
}

pub(super) fn parse(text: &str) -> Result<Vec<Point>, String> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(point).collect()
}

fn point(text: &str) -> Result<Point, String> {
    let wrong = |what: &str| format!("failpoint `{text}`: {what}");
    let (place, action) =
        text.rsplit_once('=').ok_or_else(|| wrong("expected `POINT[?MATTER]=ACTION[@N]`"))?;
    let (name, matter) = place.split_once('?').unwrap_or((place, ""));
    let (action, at) = match action.split_once('@') {
        Some((action, at)) => {
            let at = at.parse().ok().filter(|at| *at > 0);
            (action, at.ok_or_else(|| wrong("expected a number from 1 after `@`"))?)
        }
        None => (action, 1),
    };
    let action = match action.split_once('+') {
        None if action == "abort" => Action::Abort,
        None if action == "hold" => Action::Hold,
        Some(("abort", time)) => {
            let Span(time) = Span::parse(time).ok_or_else(|| wrong("expected a time after `+`"))?;
            Action::AbortIn(time.min(LATEST))
        }
        _ => return Err(wrong("expected `abort`, `abort+TIME` or `hold`")),
    };
    let (name, matter) = (name.to_owned(), matter.to_owned());
    Ok(Point { name, matter, action, at, reached: AtomicU64::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_acts_once_at_its_time_and_on_its_matter_only() {
        let points = parse("a.b?poison=abort@2; c=hold").unwrap();
        let passes = ["x", "a poison", "y", "poison b", "poison c"].map(|m| points[0].pass(m));
        assert_eq!(passes, [None, None, None, Some(Action::Abort), None]);
        assert_eq!([points[1].pass(""), points[1].pass("")], [Some(Action::Hold), None]);
    }

    #[test]
    fn a_delay_is_read_and_bounded() {
        let after = |text: &str| parse(text).unwrap()[0].action;
        assert_eq!(after("p=abort+2ms"), Action::AbortIn(Duration::from_millis(2)));
        assert_eq!(after("p=abort+5h"), Action::AbortIn(LATEST));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for wrong in ["p", "p=die", "p=abort@0", "p=abort@x", "p=abort+soon", "p=hold+2ms"] {
            let said = parse(wrong).unwrap_err();
            assert!(said.contains(&format!("`{wrong}`")), "{said}");
        }
    }
}
