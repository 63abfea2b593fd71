//! The result: one row per measure, printed as a table or written as JSON.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::stats::Summary;

/// What a measure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    fn met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtMost(limit) => format!("<= {limit}{unit}"),
            Self::AtLeast(limit) => format!(">= {limit}{unit}"),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    measure: String,
    ours: String,
    baseline: String,
    value: Option<Summary>,
    unit: &'static str,
    bar: Option<Bar>,
}

impl Row {
    /// A measure against a baseline; `ratio` is ours divided by the baseline, round by round.
    pub(crate) fn ratio(
        measure: impl Into<String>,
        ours: String,
        baseline: String,
        ratio: Option<Summary>,
    ) -> Self {
        Self { measure: measure.into(), ours, baseline, value: ratio, unit: "x", bar: None }
    }

    /// A measure in a unit of its own.
    pub(crate) fn absolute(measure: impl Into<String>, unit: &'static str, value: Option<Summary>) -> Self {
        let ours = value.map_or_else(String::new, |value| format!("{:.1}{unit}", value.median));
        Self { measure: measure.into(), ours, baseline: String::new(), value, unit, bar: None }
    }

    /// The same row with something to reach.
    #[must_use]
    pub(crate) fn with_bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }

    /// Whether the bar is met; `None` without a bar. A measure without a value does not meet its bar.
    pub(crate) fn met(&self) -> Option<bool> {
        let bar = self.bar?;
        Some(self.value.is_some_and(|value| bar.met_by(value.median)))
    }

    fn cells(&self) -> [String; 6] {
        let ratio = match self.value {
            Some(value) if self.unit == "x" => ratio_text(value),
            Some(value) if value.lower < value.upper => {
                format!("({:.1} .. {:.1})", value.lower, value.upper)
            }
            _ => String::new(),
        };
        let bar = self.bar.map_or_else(String::new, |bar| bar.text(self.unit));
        let met = self.met().map_or("", |met| if met { "met" } else { "NOT MET" });
        [self.measure.clone(), self.ours.clone(), self.baseline.clone(), ratio, bar, met.to_owned()]
    }

    fn json(&self) -> Value {
        let (sense, limit) = match self.bar {
            Some(Bar::AtMost(limit)) => (Some("at most"), Some(limit)),
            Some(Bar::AtLeast(limit)) => (Some("at least"), Some(limit)),
            None => (None, None),
        };
        json!({
            "measure": self.measure, "ours": self.ours, "baseline": self.baseline,
            "unit": self.unit.trim(),
            "median": self.value.map(|value| value.median),
            "lower_quartile": self.value.map(|value| value.lower),
            "upper_quartile": self.value.map(|value| value.upper),
            "bar": limit, "sense": sense, "met": self.met(),
        })
    }
}

/// Two digits behind the point, three for ratios so small that two say little.
fn ratio_text(Summary { median, lower, upper }: Summary) -> String {
    let digits = if median < 0.2 { 3 } else { 2 };
    format!("{median:.digits$} ({lower:.digits$} .. {upper:.digits$})")
}

/// The rows as a table of text.
pub(crate) fn table(rows: &[Row]) -> String {
    let heads = ["measure", "ours", "baseline", "ratio (quartiles)", "bar", ""].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(heads).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut cells = String::new();
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(cells, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", cells.trim_end());
        if number == 0 {
            let _ = writeln!(text, "{}", "-".repeat(widths.iter().map(|width| width + 2).sum::<usize>() - 2));
        }
    }
    text
}

/// Writes the rows and what they were measured on to `path`.
pub(crate) fn write_json(path: &Path, settings: &Value, rows: &[Row]) -> Result<()> {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    let text = serde_json::to_string_pretty(&json!({ "settings": settings, "rows": rows }))?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(median: f64) -> Option<Summary> {
        Some(Summary { median, lower: median - 0.5, upper: median + 0.5 })
    }

    #[test]
    fn bars_are_judged_by_the_median() {
        let row = |value| Row::ratio("m", "1".into(), "2".into(), value).with_bar(Bar::AtMost(1.35));
        assert_eq!(row(summary(1.35)).met(), Some(true));
        assert_eq!(row(summary(1.36)).met(), Some(false));
        assert_eq!(row(None).met(), Some(false), "no value is no success");
        assert_eq!(Row::absolute("m", " ms", summary(3.0)).with_bar(Bar::AtLeast(2.0)).met(), Some(true));
        assert_eq!(Row::absolute("m", " ms", summary(3.0)).met(), None);
    }

    #[test]
    fn the_table_lines_up_and_says_what_is_not_met() {
        let rows = [
            Row::ratio("a measure", "10 us".into(), "5 us".into(), summary(2.0)).with_bar(Bar::AtMost(1.35)),
            Row::absolute("another", " ms", summary(3.0)).with_bar(Bar::AtMost(100.0)),
        ];
        let text = table(&rows);
        assert!(text.contains("2.00 (1.50 .. 2.50)  ") && text.contains("<= 1.35x"));
        assert!(text.lines().nth(2).unwrap().ends_with("NOT MET"));
        assert!(
            text.lines().nth(3).unwrap().contains("3.0 ms") && text.lines().nth(3).unwrap().ends_with(" met")
        );
    }

    #[test]
    fn json_has_numbers() {
        let value = Row::ratio("m", "1".into(), "2".into(), summary(2.0)).with_bar(Bar::AtLeast(1.5)).json();
        assert_eq!(value["median"], 2.0);
        assert_eq!(value["bar"], 1.5);
        assert_eq!(value["met"], true);
    }
}
