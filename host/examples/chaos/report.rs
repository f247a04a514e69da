//! What the faults did: a row each, as a table or as JSON.

use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

use crate::Fault;

/// Of the table, characters.
const WIDTH: u16 = 140;

/// What was counted while one fault went on.
#[derive(Debug, Default, Serialize)]
pub struct Row {
    /// Jobs whose push was acknowledged.
    pub jobs: u64,
    /// Those that did not end, or ended without their effect.
    pub lost: u64,
    /// Effects and ends beyond the first of each job.
    pub doubled: u64,
    /// Starts of a handler beyond the first of each job.
    pub redelivered: u64,
    pub seconds: f64,
    /// Figures of this fault alone.
    pub notes: Vec<String>,
    /// What should not be so; empty if the fault was borne.
    pub complaints: Vec<String>,
}

impl Row {
    pub fn took(mut self, time: Duration) -> Self {
        self.seconds = time.as_secs_f64();
        self
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Complains unless it is so.
    pub fn expect(&mut self, so: bool, complaint: impl Into<String>) {
        if !so {
            self.complaints.push(complaint.into());
        }
    }

    /// Nothing may be lost or doubled, whatever the fault.
    fn judged(mut self) -> Self {
        let (lost, doubled) = (self.lost, self.doubled);
        self.expect(lost == 0, format!("{lost} lost"));
        self.expect(doubled == 0, format!("{doubled} doubled"));
        self
    }
}

#[derive(Debug, Serialize)]
struct Line {
    fault: String,
    borne: bool,
    #[serde(flatten)]
    row: Row,
}

#[derive(Debug, Default)]
pub struct Report(Vec<Line>);

impl Report {
    /// A fault that could not be put to the test was not borne.
    pub fn add(&mut self, fault: Fault, outcome: Result<Row>) {
        let row = match outcome {
            Ok(row) => row.judged(),
            Err(error) => Row { complaints: vec![format!("{error:#}")], ..Row::default() },
        };
        let borne = row.complaints.is_empty();
        let words = row.notes.iter().chain(&row.complaints);
        let words: Vec<&str> = words.map(String::as_str).collect();
        eprintln!("{fault:?}: {}; {}", verdict(borne), words.join("; "));
        self.0.push(Line { fault: format!("{fault:?}").to_lowercase(), borne, row });
    }

    pub fn is_good(&self) -> bool {
        self.0.iter().all(|line| line.borne)
    }

    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.0)?)
    }

    pub fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_preset(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH);
        table.set_header(["fault", "jobs", "lost", "doubled", "redelivered", "seconds", "", ""]);
        for Line { fault, borne, row } in &self.0 {
            let numbers = [row.jobs, row.lost, row.doubled, row.redelivered].map(|number| number.to_string());
            let words: Vec<&str> = row.notes.iter().chain(&row.complaints).map(String::as_str).collect();
            let mut cells = vec![fault.clone()];
            cells.extend(numbers);
            cells.extend([format!("{:.1}", row.seconds), verdict(*borne).to_owned(), words.join("\n")]);
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(1).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.to_string()
    }
}

fn verdict(borne: bool) -> &'static str {
    if borne { "passed" } else { "FAILED" }
}
