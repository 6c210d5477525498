//! The rows of the matrix: what is done to the engine, and what is asked of it beyond the checks.

use crate::play::Stage;
use crate::report::Outcome;

mod control;
mod embedded;
mod everything;
mod freezes;
mod kills;
mod moves;
mod network;
mod records;

/// A row.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub title: &'static str,
    /// Whether it is part of a quick run.
    pub quick: bool,
    /// Plays it.
    pub play: fn(&Stage) -> Outcome,
}

/// All rows, in order.
pub const ROWS: &[Row] = &[
    Row { name: "F1", title: "nothing", quick: true, play: control::play },
    Row { name: "F2", title: "kill -9 of instances at random", quick: true, play: kills::random },
    Row { name: "F3", title: "death at each step of a commit", quick: true, play: kills::steps },
    Row { name: "F4", title: "kill -9 of all instances at once", quick: true, play: kills::all },
    Row { name: "F7", title: "SIGSTOP past the session", quick: false, play: freezes::frozen },
    Row { name: "F8", title: "network cuts", quick: false, play: network::cuts },
    Row {
        name: "F9",
        title: "the late end of a transaction",
        quick: true,
        play: network::late_ends,
    },
    Row { name: "R8", title: "commits in doubt", quick: false, play: network::doubts },
    Row { name: "F11", title: "instances come and go", quick: false, play: moves::storm },
    Row { name: "F12", title: "rolling restart", quick: false, play: moves::rolling },
    Row { name: "F13", title: "a clone of an instance", quick: true, play: freezes::clones },
    Row {
        name: "F14",
        title: "a stuck event in each partition",
        quick: true,
        play: freezes::stuck,
    },
    Row { name: "F15", title: "later offsets finish first", quick: false, play: freezes::wide },
    Row { name: "F16", title: "gaps in the offsets", quick: false, play: records::gaps },
    Row { name: "F17", title: "metadata overwritten", quick: false, play: records::metadata },
    Row { name: "F20", title: "poison, and events that kill", quick: true, play: records::poison },
    Row { name: "F21", title: "results too large", quick: false, play: records::oversized },
    Row { name: "F24", title: "more than can be done", quick: false, play: everything::overload },
    Row { name: "F26", title: "everything at random", quick: false, play: everything::everything },
    Row { name: "L1", title: "local log: death at each step", quick: true, play: embedded::steps },
    Row { name: "L2", title: "local log: disk full", quick: true, play: embedded::full_disk },
    Row {
        name: "L3",
        title: "local log: copies of the files",
        quick: true,
        play: embedded::copies,
    },
];
