//! Faults on real parts: instances of the engine, built with failpoints, an Apache Kafka broker or a file, models with a
//! ledger of their own; whatever dies, the checks of `checker` hold. `tests/faults/run ROW…` plays rows, `--list` names
//! them; `tests/faults/quick` and `tests/faults/full` play what belongs to them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run that can't go on ends with the reason"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "other processes have clocks and environments of their own"
)]

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;

mod checker;
mod clients;
mod embedded;
mod file;
mod fleet;
mod job;
mod mock;
mod play;
mod proxy;
mod report;
mod rows;
mod time;
mod watch;

#[path = "../e2e/services/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::expect_used,
    reason = "a part of what the stories need, which says why it can't go on"
)]
mod services;

use play::Stage;
use report::{Line, Outcome};
use rows::{ROWS, Row};
use services::{BRIEF, Need, Services};

const HELP: &str = "\
Plays rows of faults and judges what is left.

  tests/faults/run F1 F2 --events 1000
  tests/faults/run --quick

  --quick        the rows of every change, small; without names all of them
  --full         all rows, at full size
  --part K/N     of what is played every N-th row, from the K-th on: N processes share the work
  --events N     so many events instead of the row's own number
  --seed N       of load and faults; 1 when left out
  --strict       intents are awaited, so that every call is charged
  --program PATH another build of the engine, with failpoints
  --report PATH  writes PATH.md and PATH.json
  --list         names the rows";

struct Orders {
    rows: Vec<&'static Row>,
    events: Option<usize>,
    seed: u64,
    quick: bool,
    report: Option<PathBuf>,
    program: Option<PathBuf>,
    strict: bool,
}

impl Orders {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Orders, String> {
        let (mut names, mut full, mut quick, mut part) = (Vec::new(), false, false, (0, 1));
        let mut orders = Orders {
            rows: Vec::new(),
            events: None,
            seed: 1,
            quick: true,
            report: None,
            program: None,
            strict: false,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("`{argument}` needs a value"));
            let number =
                |text: String| text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"));
            match argument.as_str() {
                "--quick" => quick = true,
                "--full" => full = true,
                "--part" => part = parted(&value()?)?,
                "--events" => orders.events = Some(number(value()?)? as usize),
                "--seed" => orders.seed = number(value()?)?,
                "--program" => orders.program = Some(PathBuf::from(value()?)),
                "--strict" => orders.strict = true,
                "--report" => orders.report = Some(PathBuf::from(value()?)),
                "--help" | "--list" => return Err(argument),
                name if name.starts_with("--") => return Err(format!("unknown option `{name}`")),
                name => names.push(name.to_owned()),
            }
        }
        orders.quick = !full;
        let unknown = names.iter().find(|name| !ROWS.iter().any(|row| row.name == **name));
        if let Some(name) = unknown {
            return Err(format!("there is no row `{name}`: see --list"));
        }
        let wanted = |row: &&Row| match (names.is_empty(), full, quick) {
            (false, ..) => names.iter().any(|name| name == row.name),
            (true, true, _) => true,
            (true, false, true) => row.quick,
            (true, false, false) => false,
        };
        orders.rows = ROWS.iter().filter(wanted).skip(part.0).step_by(part.1).collect();
        Ok(orders)
    }
}

/// `K/N` as how many rows to leave out first, and the step from one to the next.
fn parted(text: &str) -> Result<(usize, usize), String> {
    let read = || {
        let (part, of) = text.split_once('/')?;
        let (part, of): (usize, usize) = (part.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&part).then_some((part - 1, of))
    };
    read().ok_or_else(|| format!("`{text}` is no part: as in `1/2`"))
}

fn main() -> ExitCode {
    let orders = match Orders::read(std::env::args().skip(1)) {
        Ok(orders) if !orders.rows.is_empty() => orders,
        Err(asked) if asked == "--list" => {
            ROWS.iter().for_each(|row| println!("{:4} {}", row.name, row.title));
            return ExitCode::SUCCESS;
        }
        Err(wrong) if wrong != "--help" => {
            eprintln!("error: {wrong}");
            return ExitCode::from(64);
        }
        _ => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
    };
    let services = Services::new(BRIEF);
    if let Err(missing) = services.ensure(&[Need::Kafka]) {
        eprintln!("error: {missing}");
        return ExitCode::FAILURE;
    }
    fleet::take_program(orders.program.as_deref(), &services.dir("program"));
    let Orders { events, seed, quick, strict, .. } = orders;
    let stage = Stage { services, events, seed, quick, strict };
    let mut lines = Vec::new();
    for row in &orders.rows {
        eprintln!("== {}: {}", row.name, row.title);
        let line = Line { row: row.name, title: row.title, outcome: played(row, &stage) };
        print!("{}", line.text());
        lines.push(line);
        // What is known so far stays, whatever happens to the rest.
        if let Some(path) = &orders.report {
            std::fs::write(path.with_extension("md"), report::markdown(&lines, seed)).unwrap();
            std::fs::write(path.with_extension("json"), report::json(&lines, seed)).unwrap();
        }
    }
    // Before the process ends, or their directories would stay.
    drop(stage);
    match lines.iter().all(|line| line.outcome.passed()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn played(row: &Row, stage: &Stage) -> Outcome {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| (row.play)(stage)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let mut outcome = Outcome::default();
        outcome.finding(text.unwrap_or_else(|| "it panicked".to_owned()));
        outcome
    })
}
