//! The gate against slow creep: instructions of the corridor and of the pure cores, counted by callgrind, against a stored
//! baseline. Instructions, unlike times, are nearly the same on every run of a machine.
//!
//! `tests/counts/run` compares, `tests/counts/run --accept` stores what it counted as the new baseline.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that can't go on ends with the reason"
)]
#![expect(clippy::disallowed_methods, reason = "what a run is told stands in its environment")]

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};

#[path = "../it/support/away.rs"]
mod away;
mod cases;
#[path = "../it/support/driver.rs"]
#[expect(dead_code, reason = "a part of what the tests need")]
mod driver;

use cases::{CASES, Case};

const BASELINE: &str = "tests/counts/baseline.json";
/// How far a count may lie from the baseline.
const PERCENT: f64 = 5.0;

const HELP: &str = "\
Counts the instructions of the corridor and of the pure cores, and compares them with the baseline.

  tests/counts/run
  tests/counts/run corridor

  --accept  stores the counts as the new baseline";

fn main() -> ExitCode {
    let mut words: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "--case") {
        let case = CASES.iter().find(|case| case.name == words[1]).unwrap();
        (case.run)(words[2].parse().unwrap());
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let accept = words.iter().position(|word| word == "--accept").map(|at| words.remove(at));
    if let Some(wrong) = words.iter().find(|word| !CASES.iter().any(|case| case.name == **word)) {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        eprintln!("error: there is no case `{wrong}`: there are {}", names.join(", "));
        return ExitCode::from(64);
    }
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        eprintln!("valgrind is not there ({error}): nothing is counted");
        return if std::env::var_os("CI").is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let stored = fs::read_to_string(BASELINE).unwrap_or_else(|_| "{}".to_owned());
    let mut baseline: BTreeMap<String, u64> = serde_json::from_str(&stored).unwrap();
    let mut far = false;
    println!("{:10} {:>12} {:>12} {:>8}  instructions of one round", "case", "now", "baseline", "");
    for case in CASES.iter().filter(|case| words.is_empty() || words.iter().any(|w| w == case.name))
    {
        let now = count(case);
        let before = baseline.insert(case.name.to_owned(), now).unwrap_or(now);
        let change = (now as f64 / before as f64 - 1.0) * 100.0;
        let wrong = change.abs() > PERCENT && accept.is_none();
        far |= wrong;
        let sign = if wrong { "  too far" } else { "" };
        println!("{:10} {now:>12} {before:>12} {change:>+7.1}%  {}{sign}", case.name, case.title);
    }
    if accept.is_some() {
        fs::write(BASELINE, format!("{}\n", serde_json::to_string_pretty(&baseline).unwrap()))
            .unwrap();
    }
    if far {
        eprintln!(
            "more than {PERCENT} % from the baseline: mend it, or, if the change is worth it (or made it cheaper), store \
             the new counts with `tests/counts/run --accept`"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Instructions of one round: the difference between many rounds and twice as many, so that the start counts for nothing.
fn count(case: &Case) -> u64 {
    let (once, twice) = (collected(case, case.rounds), collected(case, case.rounds * 2));
    (twice - once) / case.rounds as u64
}

fn collected(case: &Case, rounds: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--case", case.name, &rounds.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", case.name);
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    line.and_then(|(_, count)| count.trim().parse().ok()).unwrap_or_else(|| panic!("{said}"))
}
