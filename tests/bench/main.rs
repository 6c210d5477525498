//! The performance table: what the engine costs and how fast it is, on the local log and on Kafka, with models that run
//! in a process of their own. Broker, load and models share the machine with the engine.
//!
//! `tests/bench/run all` measures all rows, `tests/bench/run P3` one. It measures and never fails for being slow.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that can't go on ends with the reason"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "measures other processes, which have clocks and environments of their own"
)]

use std::path::PathBuf;
use std::process::ExitCode;

mod engine;
mod events;
mod job;
mod latency;
mod load;
mod machine;
mod parallel;
mod plan;
mod report;
mod rows;

#[path = "../e2e/services/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::expect_used,
    reason = "a part of what the stories need, which says why it can't go on"
)]
mod services;

use machine::{Machine, pace};
use report::Report;
use rows::{ROWS, Row, Stage};
use services::Services;

const HELP: &str = "\
Measures rows of the performance table.

  tests/bench/run P1 P3
  tests/bench/run all --report tests/bench/report

  --quick        small: shows that a row runs, its figures mean nothing
  --runs N       repetitions; 3 when left out (P7: six times as many pairs)
  --minutes N    of P9; 30 when left out, 1 with --quick
  --json         for programs, on standard output
  --report PATH  writes PATH.md and PATH.json
  --list         names the rows";

fn main() -> ExitCode {
    let orders = match Orders::read(std::env::args().skip(1)) {
        Ok(orders) => orders,
        Err(asked) if asked == "--list" => {
            ROWS.iter().for_each(|row| println!("{:4} {}", row.name, row.title));
            return ExitCode::SUCCESS;
        }
        Err(asked) if asked == "--help" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return ExitCode::from(64);
        }
    };
    // Both compilers: a broker is not new for long.
    let services = Services::new(&[]);
    let machine = Machine::here(&services.dir("machine"));
    let Orders { quick, runs, minutes, .. } = orders;
    let stage = Stage { services, quick, runs, minutes };
    let mut report = Report::default();
    for row in &orders.rows {
        eprintln!("== {}: {}", row.name, row.title);
        match stage.services.ensure(row.needs) {
            Ok(()) => {
                let before = pace();
                (row.measure)(&stage, &mut report);
                let paces = [before, pace()].concat();
                report.add(row.name, "pace: a million numbers sorted", "ms", None, &paces);
            }
            Err(missing) => report.absent(row.name, missing.to_string()),
        }
        // What is known so far stays, whatever happens to the rest.
        if let Some(path) = &orders.report {
            let text = format!("# Performance\n\n{}\n{}", machine.markdown(), report.markdown());
            std::fs::write(path.with_extension("md"), text).unwrap();
            let told = format!("{:#}\n", report.json(&machine));
            std::fs::write(path.with_extension("json"), told).unwrap();
        }
    }
    match orders.json {
        true => println!("{}", report.json(&machine)),
        false => print!("{}\n{}", machine.markdown(), report.markdown()),
    }
    // Before the process ends, or their directories would stay.
    drop(stage);
    ExitCode::SUCCESS
}

/// The command line.
struct Orders {
    rows: Vec<&'static Row>,
    quick: bool,
    json: bool,
    runs: usize,
    minutes: u64,
    report: Option<PathBuf>,
}

impl Orders {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Orders, String> {
        let (mut all, mut names, mut runs, mut minutes) = (false, Vec::new(), None, None);
        let (quick, json, report) = (false, false, None);
        let mut orders = Orders { rows: Vec::new(), quick, json, runs: 3, minutes: 30, report };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
            match word.as_str() {
                // Cargo says it to every benchmark.
                "--bench" => {}
                "all" => all = true,
                "--quick" => orders.quick = true,
                "--json" => orders.json = true,
                "--runs" => runs = Some(number(&value()?)?),
                "--minutes" => minutes = Some(number(&value()?)?),
                "--report" => orders.report = Some(PathBuf::from(value()?)),
                "--help" | "--list" => return Err(word),
                _ if word.starts_with("--") => return Err(format!("unknown option `{word}`")),
                _ => names.push(word),
            }
        }
        orders.runs = runs.unwrap_or(if orders.quick { 1 } else { 3 });
        orders.minutes = minutes.map_or(if orders.quick { 1 } else { 30 }, |n| n as u64);
        if let Some(name) = names.iter().find(|name| !ROWS.iter().any(|row| row.name == **name)) {
            return Err(format!("there is no row `{name}`: see --list"));
        }
        let wanted = |row: &&Row| all || names.iter().any(|name| name == row.name);
        orders.rows = ROWS.iter().filter(wanted).collect();
        match orders.rows.is_empty() {
            true => Err("name rows, or `all`: see --list".to_owned()),
            false => Ok(orders),
        }
    }
}

fn number(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or(format!("`{text}` is not a number such as 3"))
}
