//! Differences as text for a terminal.

use std::fmt;

use serde_json::Value;

use super::diff::{Change, Diff, OrderDiff};

/// Changes that are shown of one order.
const MAX_LINES: usize = 20;

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.identical {
            return write!(f, "identical to the last bit");
        }
        if let Some(answers) = &self.answers {
            writeln!(f, "recorded: {}", pretty(&answers.recorded))?;
            return write!(f, "replayed: {}", pretty(&answers.replayed));
        }
        if self.orders.iter().all(|order| order.changes.is_empty()) {
            writeln!(f, "same orders and scores, but other evidence, notes or weights")?;
        }
        let orders: Vec<_> = self.orders.iter().map(OrderDiff::to_string).collect();
        f.write_str(&orders.join("\n"))
    }
}

impl fmt::Display for OrderDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        if self.changes.is_empty() {
            return write!(f, "{name}: no change");
        }
        write!(f, "{name}: average overlap of the first ten {:.3}", self.overlap_of_first_ten)?;
        match self.score_distance {
            Some(distance) => write!(f, ", scores {distance:.6} apart on average")?,
            None => write!(f, ", no scores to compare")?,
        }
        let title = ["place", "was", "product", "score", "was"].map(str::to_owned);
        let shown = self.changes.iter().take(MAX_LINES).map(line);
        write_table(f, &std::iter::once(title).chain(shown).collect::<Vec<_>>())?;
        match self.changes.len().checked_sub(MAX_LINES) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n  and {more} more"),
        }
    }
}

fn line(change: &Change) -> [String; 5] {
    let place =
        |place: Option<usize>, none: &str| place.map_or_else(|| none.to_owned(), |place| place.to_string());
    let score = |score: Option<f32>| score.map_or_else(String::new, |score| format!("{score:.6}"));
    [
        place(change.to, "gone"),
        place(change.from, "new"),
        change.what.clone(),
        score(change.replayed_score),
        score(change.recorded_score),
    ]
}

/// Numbers to the right, names to the left.
fn write_table(f: &mut fmt::Formatter<'_>, lines: &[[String; 5]]) -> fmt::Result {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let [w0, w1, w2, w3, w4] = [0, 1, 2, 3, 4].map(width);
    lines.iter().try_for_each(|[to, from, what, score, was]| {
        let line = format!("  {to:>w0$}  {from:>w1$}  {what:<w2$}  {score:>w3$}  {was:>w4$}");
        write!(f, "\n{}", line.trim_end())
    })
}

/// What a plugin wrote cannot command the terminal: JSON escapes most control characters, and the others go.
fn pretty(value: &Value) -> String {
    format!("{value:#}").replace(|c: char| c.is_control() && c != '\n', "?")
}
