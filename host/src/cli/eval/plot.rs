//! The figures as a plot: a bar for each column, a whisker for its interval. SVG, with nothing loaded from elsewhere.

use std::fmt::Write;

use super::report::Set;
use crate::evaluation::figures::Figure;

const WIDTH: f64 = 830.0;
const LABEL_WIDTH: f64 = 300.0;
const VALUE_WIDTH: f64 = 170.0;
const BAR: f64 = 16.0;
const GAP: f64 = 4.0;
const GROUP_GAP: f64 = 10.0;
const HEADING: f64 = 30.0;
/// One for each column, told apart by people who do not see red and green as well (Okabe and Ito).
const COLOURS: [&str; 7] = ["#0b7a75", "#e69f00", "#56b4e9", "#d55e00", "#cc79a7", "#999999", "#000000"];
const FONT: &str = r#"font-family="sans-serif" font-size="12""#;

/// One picture of all sets.
pub fn svg(sets: &[Set]) -> String {
    let mut plot = Plot { body: String::new(), top: 10.0 };
    for set in sets {
        plot.set(set);
    }
    let height = plot.top + 10.0;
    let title = "Quality of search, with 95 % intervals";
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">
<title>{title}</title>
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
{}</svg>
"##,
        plot.body
    )
}

struct Plot {
    body: String,
    top: f64,
}

impl Plot {
    fn line(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    fn set(&mut self, set: &Set) {
        let heading = escaped(&format!("{}, {} queries", set.judgements, set.queries));
        self.line(&format!(
            r#"<text x="10" y="{}" {FONT} font-weight="bold">{heading}</text>"#,
            self.top + HEADING - 14.0
        ));
        self.top += HEADING;
        let rows = set.columns.first().map_or(0, |column| column.figures.len());
        for row in 0..rows {
            let figures: Vec<_> = set.columns.iter().filter_map(|column| column.figures.get(row)).collect();
            let scale = scale(&figures);
            for (column, figure) in set.columns.iter().zip(figures) {
                let colour = COLOURS
                    [set.columns.iter().position(|it| it.name == column.name).unwrap_or(0) % COLOURS.len()];
                self.bar(&format!("{}, {}", figure.measure, column.name), figure, scale, colour);
            }
            self.top += GROUP_GAP;
        }
    }

    fn bar(&mut self, label: &str, figure: &Figure, scale: f64, colour: &str) {
        let (top, middle, baseline) = (self.top, self.top + BAR / 2.0, self.top + BAR - 4.0);
        let at = |value: f64| LABEL_WIDTH + value.max(0.0) * scale;
        let interval = figure.interval;
        let (low, high, width) = (at(interval.low), at(interval.high), at(interval.value) - LABEL_WIDTH);
        let told = figure.told();
        let told = escaped(told.lines().next().unwrap_or_default());
        let mut bar = String::new();
        // Writing to a text cannot fail.
        let _ = write!(
            bar,
            r##"<text x="{}" y="{baseline}" {FONT} text-anchor="end">{}</text>
<rect x="{LABEL_WIDTH}" y="{top}" width="{width:.1}" height="{BAR}" fill="{colour}" fill-opacity="0.75"/>
<path d="M{low:.1} {middle}H{high:.1}M{low:.1} {}v6M{high:.1} {}v6" stroke="#222222" fill="none"/>
<text x="{:.1}" y="{baseline}" {FONT}>{told}</text>"##,
            LABEL_WIDTH - 8.0,
            escaped(label),
            middle - 3.0,
            middle - 3.0,
            high.max(LABEL_WIDTH + width) + 6.0,
        );
        self.line(&bar);
        self.top += BAR + GAP;
    }
}

/// Pixels of one unit: shares are drawn up to 1, what has no bound up to the largest end of an interval.
fn scale(figures: &[&Figure]) -> f64 {
    let room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
    let most =
        figures.iter().map(|figure| figure.interval.high.max(figure.interval.value)).fold(0.0, f64::max);
    let is_share = figures.iter().all(|figure| !figure.measure.ends_with("_ms"));
    if is_share || most <= 0.0 { room } else { room / most }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{super::report::Summary, *};
    use crate::evaluation::bootstrap::Interval;

    fn figure(measure: &str, value: f64, low: f64, high: f64) -> Figure {
        Figure { measure: measure.into(), interval: Interval { value, low, high }, difference: None }
    }

    fn set() -> Set {
        let column = |name: &str, ndcg: f64| Summary {
            name: name.into(),
            figures: vec![
                figure("ndcg@10", ndcg, ndcg - 0.25, ndcg + 0.25),
                figure("latency_p50_ms", 20.0, 10.0, 40.0),
            ],
            ..Summary::default()
        };
        let columns = vec![column("live", 0.5), column("a<b & \"c\"", 0.75)];
        Set { judgements: "shoes".into(), queries: 3, left_out: 0, columns }
    }

    #[test]
    fn bars_and_whiskers_are_as_long_as_the_figures_say() {
        let svg = svg(&[set()]);
        // 360 pixels are 1, and of the milliseconds 40.
        assert!(svg.contains(r#"width="180.0""#) && svg.contains("M390.0 48H570.0"), "{svg}");
        assert!(svg.contains(r#"width="270.0""#) && svg.contains("M480.0 68H660.0"), "{svg}");
        assert!(svg.contains("M390.0 98H660.0"), "{svg}");
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let svg = svg(&[set()]);
        assert!(svg.contains("a&lt;b &amp; &quot;c&quot;") && !svg.contains("a<b"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(!svg.contains("http://www.w3.org/1999/xlink") && svg.matches("http").count() == 1);
    }
}
