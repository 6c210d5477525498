//! What the corridor costs: engine CPU per event and added latency, on the local log and on Kafka exactly-once. One HTTP
//! model call per event to `mock-models` in a process of its own that answers at once, 1 KB events, 1,000 in flight.
//! And what the promise costs: exactly-once with the call journal beside at-least-once without, in turns.
//!
//! `cargo bench` measures all of it; after `--`: `--quick` for a smoke run, `--only WORD` for the rows whose name has it
//! (`local`, `kafka`, `promise`, `memory`), `--runs N`, `--events N`, `--json` for programs. It measures and never fails for being
//! slow.
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

use std::process::ExitCode;

mod engine;
mod latency;
mod memory;
mod process;
mod table;
mod work;

#[path = "../e2e/services/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::expect_used,
    reason = "a part of what the stories need, which says why it can't go on"
)]
mod services;

use services::{Need, Services};
use table::{Row, Table};
use work::{Place, Plan};

fn main() -> ExitCode {
    let orders = match Orders::read(std::env::args().skip(1)) {
        Ok(orders) => orders,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return ExitCode::from(64);
        }
    };
    let services = Services::new();
    let mut table = Table::default();
    if orders.wants("local") {
        measure(&orders, &Place::Local, &services, &mut table);
    }
    if orders.wants("kafka") {
        match services.ensure(&[Need::Kafka]) {
            Ok(()) => {
                let place = Place::Kafka { brokers: services.kafka().brokers() };
                measure(&orders, &place, &services, &mut table);
            }
            Err(missing) => table.absent("kafka", &missing.to_string()),
        }
    }
    if orders.wants("promise") {
        match services.ensure(&[Need::Kafka]) {
            Ok(()) => {
                let place = Place::Kafka { brokers: services.kafka().brokers() };
                promise(&orders, &place, &services, &mut table);
            }
            Err(missing) => table.absent("promise", &missing.to_string()),
        }
    }
    match orders.json {
        true => println!("{}", table.json()),
        false => table.print(),
    }
    if orders.wants("memory") && !orders.quick && !orders.json {
        memory::run(&services.dir("memory"));
    }
    // Before the process ends, or their directories would stay.
    drop(services);
    ExitCode::SUCCESS
}

fn measure(orders: &Orders, place: &Place, services: &Services, table: &mut Table) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = |name: &str| services.dir(&format!("{}-{name}", place.word()));
    let guarantee = "exactly_once";
    let plan = Plan { place: place.clone(), commit: "100ms", guarantee, events: orders.events };
    let cost = runtime.block_on(work::cost(&plan, &dir("cost"), orders.runs));
    let name = |what: &str| format!("{}: {what}", place.word());
    table.add(Row::new(name("engine CPU per event"), "µs", Some(150.0), &cost.cpu_us));
    table.add(Row::new(name("events per second"), "1/s", None, &cost.per_second));
    table.add(Row::new(name("memory at the end"), "MiB", None, &[cost.rss_mib]));
    table.add(Row::new(name("memory at most"), "MiB", None, &[cost.peak_mib]));
    let events = orders.latency_events;
    let plan = Plan { place: place.clone(), commit: "10ms", guarantee, events };
    let times = runtime.block_on(latency::added(&plan, &dir("latency"), orders.runs));
    let goal = match place {
        Place::Local => 10.0,
        Place::Kafka { .. } => 25.0,
    };
    table.add(Row::new(name("added latency p50"), "ms", Some(goal), &times.p50));
    table.add(Row::new(name("added latency p99"), "ms", None, &times.p99));
    for (part, mean) in times.parts {
        table.add(Row::new(name(&format!("  {part}")), "ms", None, &[mean]));
    }
}

/// Exactly-once with the journal beside at-least-once without.
fn promise(orders: &Orders, place: &Place, services: &Services, table: &mut Table) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let guarantee = "exactly_once";
    for (commit, goal) in [("100ms", Some(15.0)), ("10ms", None)] {
        let plan = Plan { place: place.clone(), commit, guarantee, events: orders.events };
        let dir = services.dir(&format!("promise-{commit}"));
        let cost = runtime.block_on(work::promise(&plan, &dir, orders.runs));
        let name = |what: &str| format!("promise at {commit}: {what}");
        table.add(Row::new(name("CPU per event, exactly once"), "µs", None, &cost.with));
        table.add(Row::new(name("CPU per event, at least once"), "µs", None, &cost.without));
        table.add(Row::new(name("more CPU"), "%", goal, &cost.more));
        table.add(Row::new(name("journaled per event"), "B", None, &[cost.journaled]));
    }
    let latency = |guarantee: &'static str| {
        let events = orders.latency_events;
        let plan = Plan { place: place.clone(), commit: "10ms", guarantee, events };
        let dir = services.dir(&format!("promise-latency-{guarantee}"));
        runtime.block_on(latency::added(&plan, &dir, orders.runs)).p50
    };
    let (with, without) = (latency("exactly_once"), latency("at_least_once"));
    let more: Vec<f64> = with.iter().zip(&without).map(|(a, b)| a - b).collect();
    table.add(Row::new("promise at 10ms: added latency p50, more".into(), "ms", Some(20.0), &more));
}

/// The command line.
struct Orders {
    quick: bool,
    json: bool,
    only: Option<String>,
    runs: usize,
    events: usize,
    latency_events: usize,
}

impl Orders {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Orders, String> {
        let mut orders = Orders {
            quick: false,
            json: false,
            only: None,
            runs: 3,
            events: 20_000,
            latency_events: 2_000,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
            let number = |text: String| {
                text.parse::<usize>()
                    .map_err(|_| format!("`{text}` is not a number: expected such as 3"))
            };
            match word.as_str() {
                // Cargo says it to every benchmark.
                "--bench" => {}
                "--quick" => {
                    (orders.quick, orders.runs) = (true, 1);
                    (orders.events, orders.latency_events) = (2_000, 400);
                }
                "--json" => orders.json = true,
                "--only" => orders.only = Some(value()?),
                "--runs" => orders.runs = number(value()?)?.max(1),
                "--events" => orders.events = number(value()?)?.max(1),
                _ => return Err(format!("`{word}` is no option of this benchmark")),
            }
        }
        Ok(orders)
    }

    fn wants(&self, row: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == row)
    }
}
