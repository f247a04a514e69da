//! Conditions on figures, by which a script or a pipeline decides whether to go on.

use std::str::FromStr;

use super::report::Set;
use crate::evaluation::figures::{Figure, worse};

/// A condition on one figure, such as `ndcg@10>=0.5`, of one column, such as `new:latency_p50_ms<40`, or of every column
/// that is compared with what is live; of that itself when there is no other.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    text: String,
    column: Option<String>,
    measure: String,
    sign: Sign,
    bound: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// Longer ones first: each begins with a shorter one.
const SIGNS: [(&str, Sign); 4] =
    [(">=", Sign::AtLeast), ("<=", Sign::AtMost), (">", Sign::Above), ("<", Sign::Below)];

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = SIGNS.iter().find_map(|(word, sign)| Some((text.split_once(word)?, *sign)));
        let ((what, bound), sign) = parts.ok_or("is not a figure, one of >= <= > <, and a number")?;
        let bound: f64 = bound.trim().parse().map_err(|_| format!("{bound:?} is no number"))?;
        if !bound.is_finite() {
            return Err(format!("{bound} is no bound"));
        }
        let (column, measure) = match what.rsplit_once(':') {
            Some((column, measure)) => (Some(column.trim().to_owned()), measure),
            None => (None, what),
        };
        Ok(Self { text: text.to_owned(), column, measure: measure.trim().to_owned(), sign, bound })
    }
}

impl Gate {
    /// What of a set does not meet the condition. An error when there is no such figure.
    pub fn broken_by(&self, set: &Set) -> Result<Vec<String>, String> {
        let named = |name: &str| self.column.as_ref().is_none_or(|column| column == name);
        let first = usize::from(self.column.is_none() && set.columns.len() > 1);
        let mut broken = Vec::new();
        let columns: Vec<_> = set.columns.iter().skip(first).filter(|column| named(&column.name)).collect();
        if columns.is_empty() {
            return Err(format!("{}: there is no such column", self.text));
        }
        for column in columns {
            let figure = column.figures.iter().find(|figure| figure.measure == self.measure);
            let value = figure.ok_or_else(|| self.no_figure(&column.figures))?.interval.value;
            let holds = match self.sign {
                Sign::AtLeast => value >= self.bound,
                Sign::Above => value > self.bound,
                Sign::AtMost => value <= self.bound,
                Sign::Below => value < self.bound,
            };
            if !holds {
                broken.push(format!("{}: {} of {} is {value:.4}", self.text, set.judgements, column.name));
            }
        }
        Ok(broken)
    }

    fn no_figure(&self, known: &[Figure]) -> String {
        let known: Vec<_> = known.iter().map(|figure| figure.measure.as_str()).collect();
        format!("{}: there is no figure {:?}, but {}", self.text, self.measure, known.join(", "))
    }
}

/// The columns of a set that find less than the first one beyond what chance explains.
pub fn worse_than_first(set: &Set) -> Vec<String> {
    let worse = set.columns.iter().skip(1).filter_map(|column| {
        let (figure, difference) = (column.figures.first()?, worse(&column.figures)?);
        Some(format!(
            "{}: {} of {} is below that of {} by {:.4} (95 % between {:.4} and {:.4})",
            set.judgements,
            figure.measure,
            column.name,
            set.columns[0].name,
            -difference.value,
            -difference.high,
            -difference.low,
        ))
    });
    worse.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::report::Summary, *};
    use crate::evaluation::bootstrap::Interval;

    fn set(columns: &[(&str, f64)]) -> Set {
        let column = |(name, value): &(&str, f64)| {
            let interval = Interval { value: *value, low: 0.0, high: 1.0 };
            let difference = value - columns[0].1;
            let difference =
                Some(Interval { value: difference, low: difference - 0.1, high: difference + 0.1 });
            let figures = vec![Figure { measure: "ndcg@10".into(), interval, difference }];
            Summary { name: (*name).to_owned(), figures, ..Summary::default() }
        };
        let columns = columns.iter().map(column).collect();
        Set { judgements: "shoes".into(), queries: 3, left_out: 0, columns }
    }

    #[test]
    fn a_gate_holds_for_what_is_compared_or_for_the_column_that_it_names() {
        let set = set(&[("live", 0.4), ("new", 0.6)]);
        for (gate, broken) in [
            ("ndcg@10>=0.6", 0),
            ("ndcg@10 > 0.6", 1),
            ("ndcg@10<0.6", 1),
            ("ndcg@10<=0.6", 0),
            ("live:ndcg@10>=0.5", 1),
            ("new:ndcg@10>=0.5", 0),
        ] {
            assert_eq!(gate.parse::<Gate>().unwrap().broken_by(&set).unwrap().len(), broken, "{gate}");
        }
        let alone = self::set(&[("live", 0.4)]);
        assert_eq!("ndcg@10>=0.5".parse::<Gate>().unwrap().broken_by(&alone).unwrap().len(), 1);
    }

    #[test]
    fn a_gate_on_nothing_is_an_error_and_never_open() {
        let set = set(&[("live", 0.4)]);
        for gate in ["ndcg@5>=0", "old:ndcg@10>=0"] {
            assert!(gate.parse::<Gate>().unwrap().broken_by(&set).is_err(), "{gate}");
        }
        for text in ["ndcg@10", "ndcg@10>=much", "ndcg@10>=NaN"] {
            assert!(text.parse::<Gate>().is_err(), "{text}");
        }
    }

    #[test]
    fn worse_is_what_is_below_with_all_of_its_interval() {
        assert_eq!(worse_than_first(&set(&[("live", 0.6), ("new", 0.45)])).len(), 1);
        assert!(worse_than_first(&set(&[("live", 0.6), ("new", 0.55)])).is_empty());
    }
}
