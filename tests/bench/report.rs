//! Figures, as people and as programs read them.

use serde_json::{Value, json};

/// One measured thing.
pub struct Row {
    name: String,
    unit: &'static str,
    goal: Option<f64>,
    /// In order.
    values: Vec<f64>,
}

impl Row {
    /// `goal`: not more than that.
    pub fn new(name: String, unit: &'static str, goal: Option<f64>, values: &[f64]) -> Row {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        Row { name, unit, goal, values }
    }

    fn median(&self) -> f64 {
        let (half, odd) = (self.values.len() / 2, self.values.len() % 2 == 1);
        if odd { self.values[half] } else { (self.values[half - 1] + self.values[half]) / 2.0 }
    }

    fn ends(&self) -> (f64, f64) {
        (self.values[0], self.values[self.values.len() - 1])
    }
}

/// All of them.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    absent: Vec<(String, String)>,
}

impl Table {
    /// Adds a row, and says on standard error that it is there.
    pub fn add(&mut self, row: Row) {
        eprintln!("{}: {:.1} {}", row.name, row.median(), row.unit);
        self.rows.push(row);
    }

    /// Something that could not be measured.
    pub fn absent(&mut self, name: &str, reason: &str) {
        self.absent.push((name.to_owned(), reason.to_owned()));
    }

    /// For people.
    pub fn print(&self) {
        println!("{:34}{:>10}{:>10}  {:<5}{:>20}", "", "goal", "median", "", "least .. most");
        for row in &self.rows {
            let goal = row.goal.map_or(String::new(), |goal| format!("≤ {goal:.0}"));
            let (least, most) = row.ends();
            let spread = match row.values.len() {
                1 => String::new(),
                _ => format!("{least:.1} .. {most:.1}"),
            };
            let missed = row.goal.is_some_and(|goal| row.median() > goal);
            let mark = if missed { "  missed" } else { "" };
            let (name, median, unit) = (&row.name, row.median(), row.unit);
            println!("{name:34}{goal:>10}{median:>10.1}  {unit:<5}{spread:>20}{mark}");
        }
        for (name, reason) in &self.absent {
            println!("{name}: not measured: {reason}");
        }
    }

    /// For programs: one line.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.name,
                "unit": row.unit,
                "goal": row.goal,
                "median": row.median(),
                "values": row.values,
            })
        });
        let absent =
            self.absent.iter().map(|(name, reason)| json!({ "name": name, "reason": reason }));
        json!({ "rows": rows.collect::<Vec<_>>(), "absent": absent.collect::<Vec<_>>() })
    }
}
