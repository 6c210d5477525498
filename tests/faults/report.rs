//! What came of the rows, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::checker::{Figures, Finding};

/// What came of a row.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Events sent.
    pub events: usize,
    /// Instances.
    pub instances: usize,
    /// What was done to it.
    pub faults: String,
    /// Instances that died.
    pub deaths: usize,
    /// Milliseconds from each death to the next commit for what the dead one had.
    pub recovery: Vec<i64>,
    /// Calls in the ledger.
    pub calls: usize,
    /// Figures of the checker.
    pub figures: Figures,
    /// What must not be.
    pub findings: Vec<Finding>,
    /// Worth telling.
    pub notes: Vec<String>,
    /// From the first process to the judgement.
    pub took: Duration,
}

/// A row and what came of it.
pub struct Line {
    /// Its name.
    pub row: &'static str,
    /// What it does.
    pub title: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

impl Outcome {
    /// Something that the row asks for is not so.
    pub fn finding(&mut self, what: String) {
        self.findings.push(Finding { check: "row", what });
    }

    /// Whether nothing was found.
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }

    fn median(&self) -> Option<i64> {
        let mut sorted = self.recovery.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

impl Line {
    /// For the terminal.
    pub fn text(&self) -> String {
        let Outcome { events, deaths, calls, figures, findings, notes, took, .. } = &self.outcome;
        let verdict = if self.outcome.passed() { "pass" } else { "FAIL" };
        let mut text = format!(
            "{verdict} {}: {events} events, {calls} calls, {deaths} deaths, {} repaid, {} in flight at deaths, \
             {} uncharged, {} aborted records, recovery {}, {took:.1?}\n",
            self.row,
            figures.repaid,
            figures.in_flight,
            figures.uncharged,
            figures.aborted,
            self.recovery(),
        );
        if !self.outcome.faults.is_empty() {
            let _ = writeln!(text, "     {}", self.outcome.faults);
        }
        for Finding { check, what } in findings {
            let _ = writeln!(text, "  !! {check} {what}");
        }
        for note in notes {
            let _ = writeln!(text, "     {note}");
        }
        text
    }

    fn recovery(&self) -> String {
        let seconds = |ms: i64| format!("{:.1} s", ms as f64 / 1e3);
        match (self.outcome.median(), self.outcome.recovery.iter().max()) {
            (Some(median), Some(most)) => format!("{} / {}", seconds(median), seconds(*most)),
            _ => "–".to_owned(),
        }
    }

    fn json(&self) -> Value {
        let Outcome { figures, .. } = &self.outcome;
        let findings = self.outcome.findings.iter();
        json!({
            "row": self.row,
            "title": self.title,
            "passed": self.outcome.passed(),
            "events": self.outcome.events,
            "instances": self.outcome.instances,
            "faults": self.outcome.faults,
            "deaths": self.outcome.deaths,
            "calls": self.outcome.calls,
            "repaid": figures.repaid,
            "in_flight_at_deaths": figures.in_flight,
            "uncharged": figures.uncharged,
            "aborted_records": figures.aborted,
            "recovery_ms": self.outcome.recovery,
            "findings": findings.map(|f| json!({ "check": f.check, "what": f.what })).collect::<Vec<_>>(),
            "notes": self.outcome.notes,
            "seconds": (self.outcome.took.as_secs_f64() * 10.0).round() / 10.0,
        })
    }
}

/// The table as JSON.
pub fn json(lines: &[Line], seed: u64) -> String {
    let rows: Vec<Value> = lines.iter().map(Line::json).collect();
    format!("{:#}\n", json!({ "seed": seed, "rows": rows }))
}

/// The table as Markdown.
pub fn markdown(lines: &[Line], seed: u64) -> String {
    let mut text = format!(
        "# Faults on real parts\n\nWritten by `tests/faults/full`, seed {seed}. Recovery is from a death to the next commit for the dead\n\
         one's partitions, median and longest.\n\n\
         | row | what happens | events | instances | faults | repaid | in flight | uncharged | recovery | verdict |\n\
         | --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |\n"
    );
    for line in lines {
        let outcome = &line.outcome;
        let verdict = match outcome.passed() {
            true => "pass".to_owned(),
            false => {
                let said = outcome.findings.iter().map(|f| format!("{} {}", f.check, f.what));
                format!("**fail**: {}", said.collect::<Vec<_>>().join("; "))
            }
        };
        let cells = [
            line.row.to_owned(),
            line.title.to_owned(),
            outcome.events.to_string(),
            outcome.instances.to_string(),
            outcome.faults.clone(),
            outcome.figures.repaid.to_string(),
            outcome.figures.in_flight.to_string(),
            outcome.figures.uncharged.to_string(),
            line.recovery(),
            verdict,
        ];
        let _ = writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "/")).join(" | "));
    }
    let noted = lines.iter().filter(|line| !line.outcome.notes.is_empty());
    for line in noted {
        let _ = writeln!(text, "\n**{}** {}", line.row, line.outcome.notes.join("; "));
    }
    text
}
