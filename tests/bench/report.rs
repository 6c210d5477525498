//! Figures, as people and as programs read them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::machine::Machine;

/// One measured thing.
#[derive(Clone)]
pub struct Figure {
    /// Of which row.
    pub row: &'static str,
    /// What was measured.
    pub what: String,
    /// Such as `µs`.
    pub unit: &'static str,
    /// What it should be; none for what only explains another.
    pub goal: Option<Goal>,
    /// One for each repetition, least first.
    values: Vec<f64>,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
}

impl Goal {
    fn holds(self, value: f64) -> bool {
        match self {
            Goal::AtMost(most) => value <= most,
            Goal::AtLeast(least) => value >= least,
        }
    }

    fn text(self) -> String {
        match self {
            Goal::AtMost(most) => format!("≤ {most}"),
            Goal::AtLeast(least) => format!("≥ {least}"),
        }
    }
}

impl Figure {
    fn median(&self) -> f64 {
        median(&self.values)
    }

    /// Seconds are told to the millisecond.
    fn digits(&self) -> usize {
        if self.unit == "s" { 3 } else { 1 }
    }

    fn spread(&self) -> String {
        let digits = self.digits();
        match self.values.as_slice() {
            [_] => String::new(),
            [least, .., most] => format!("{least:.digits$} .. {most:.digits$}"),
            [] => "nothing".to_owned(),
        }
    }

    /// Whether it is as good as it should be; none without a goal.
    fn pass(&self) -> Option<bool> {
        self.goal.map(|goal| goal.holds(self.median()))
    }

    fn verdict(&self) -> &'static str {
        match self.pass() {
            Some(true) => "held",
            Some(false) => "missed",
            None => "",
        }
    }
}

/// What half of them are below; no number of none.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

/// All of them.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
    absent: Vec<(&'static str, String)>,
}

impl Report {
    /// Adds a figure, and says on standard error that it is there. No values are no figure.
    pub fn add(
        &mut self,
        row: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        goal: Option<Goal>,
        values: &[f64],
    ) {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let figure = Figure { row, what: what.into(), unit, goal, values };
        if figure.values.is_empty() {
            return self.absent(row, format!("{}: nothing was measured", figure.what));
        }
        let (median, verdict, digits) = (figure.median(), figure.verdict(), figure.digits());
        eprintln!("{row} {}: {median:.digits$} {unit} {verdict}", figure.what);
        self.figures.push(figure);
    }

    /// Something that could not be measured.
    pub fn absent(&mut self, row: &'static str, reason: String) {
        self.absent.push((row, reason));
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = "| row | what | goal | median | least .. most | |\n\
                        | --- | --- | ---: | ---: | ---: | --- |\n"
            .to_owned();
        for figure in &self.figures {
            let (goal, digits) = (figure.goal.map_or(String::new(), Goal::text), figure.digits());
            let _ = writeln!(
                text,
                "| {} | {} | {goal} | {:.digits$} {} | {} | {} |",
                figure.row,
                figure.what,
                figure.median(),
                figure.unit,
                figure.spread(),
                figure.verdict()
            );
        }
        for (row, reason) in &self.absent {
            let _ = writeln!(text, "| {row} | not measured: {reason} | | | | |");
        }
        text
    }

    /// For programs.
    pub fn json(&self, machine: &Machine) -> Value {
        let rows = self.figures.iter().map(|figure| {
            json!({
                "id": figure.row,
                "what": figure.what,
                "unit": figure.unit,
                "goal": figure.goal.map(Goal::text),
                "figure": figure.median(),
                "spread": [figure.values.first(), figure.values.last()],
                "values": figure.values,
                "pass": figure.pass(),
            })
        });
        let absent = self.absent.iter().map(|(row, reason)| json!({ "id": row, "reason": reason }));
        json!({
            "machine": machine.json(),
            "rows": rows.collect::<Vec<_>>(),
            "absent": absent.collect::<Vec<_>>(),
        })
    }
}
