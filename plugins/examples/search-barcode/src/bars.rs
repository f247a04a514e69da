//! Dark and light stretches along a line.

/// Samples whose extremes are taken together; a line has as many local thresholds as it has blocks.
const BLOCK: usize = 8;
/// Less contrast than this on a whole line is no print.
const LEAST_CONTRAST: f32 = 24.0;
/// Share of the line's contrast below which a stretch holds no edges: a wide bar, or the light beside the code.
const LEAST_SHARE: f32 = 0.2;
/// Share of the local contrast that a sample must lie beyond the threshold, so that noise does not cross it.
const BEYOND: f32 = 0.08;

/// Stretches in the order of the line, dark and light in turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// Their widths, in samples.
    pub widths: Vec<f32>,
    /// Whether the first of them is dark.
    pub first_dark: bool,
}

impl Bars {
    /// The same from the other end.
    pub fn reversed(&self) -> Self {
        let first_dark = self.first_dark != self.widths.len().is_multiple_of(2);
        Self { widths: self.widths.iter().rev().copied().collect(), first_dark }
    }
}

/// The stretches of a line; none where there is nothing to tell dark from light. The threshold at each place is
/// midway between the darkest and the lightest within `blocks` blocks of it.
pub fn bars(shades: &[f32], blocks: usize) -> Option<Bars> {
    let (extremes, line) = extremes(shades)?;
    let least = (LEAST_SHARE * line.contrast()).max(LEAST_CONTRAST);
    let local = widened(&extremes, blocks);
    let mut dark = shades.first()? < &line.middle();
    let (first_dark, mut crossed, mut last) = (dark, None, 0.0);
    let mut widths = Vec::new();
    for (at, pair) in shades.windows(2).enumerate() {
        let around = local[(at + 1) / BLOCK];
        if around.contrast() < least {
            crossed = None;
            continue;
        }
        let (before, after) = (pair[0] - around.middle(), pair[1] - around.middle());
        if (before < 0.0) != (after < 0.0) {
            // Samples are taken at the middle of their stretch of the line.
            crossed = Some(at as f32 + 0.5 + before / (before - after));
        }
        if (after < 0.0) != dark && after.abs() > BEYOND * around.contrast() {
            let edge = crossed.unwrap_or(at as f32 + 1.0);
            widths.push(edge - last);
            (dark, last) = (!dark, edge);
        }
    }
    widths.push(shades.len() as f32 - last);
    Some(Bars { widths, first_dark })
}

/// The darkest and the lightest of some samples.
#[derive(Debug, Clone, Copy)]
struct Extremes {
    dark: f32,
    light: f32,
}

impl Extremes {
    fn contrast(self) -> f32 {
        self.light - self.dark
    }

    fn middle(self) -> f32 {
        (self.light + self.dark) / 2.0
    }

    fn with(self, other: Self) -> Self {
        Self { dark: self.dark.min(other.dark), light: self.light.max(other.light) }
    }
}

/// The extremes of every block and of the whole line; none where the line is flat or empty.
fn extremes(shades: &[f32]) -> Option<(Vec<Extremes>, Extremes)> {
    let single = |shade: &f32| Extremes { dark: *shade, light: *shade };
    let of = |block: &[f32]| block.iter().map(single).reduce(Extremes::with);
    let blocks: Vec<_> = shades.chunks(BLOCK).filter_map(of).collect();
    let line = blocks.iter().copied().reduce(Extremes::with)?;
    (line.contrast() >= LEAST_CONTRAST).then_some((blocks, line))
}

/// The extremes within `reach` blocks of every block.
fn widened(blocks: &[Extremes], reach: usize) -> Vec<Extremes> {
    let around = |at: usize| {
        let near = &blocks[at.saturating_sub(reach)..(at + reach + 1).min(blocks.len())];
        near.iter().copied().fold(blocks[at], Extremes::with)
    };
    (0..blocks.len()).map(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of stretches, each a shade and a width.
    fn line(stretches: &[(f32, usize)]) -> Vec<f32> {
        stretches.iter().flat_map(|(shade, width)| vec![*shade; *width]).collect()
    }

    #[test]
    fn stretches_are_measured_between_the_edges() {
        let bars = bars(&line(&[(255.0, 9), (0.0, 3), (255.0, 4), (0.0, 8)]), 4).unwrap();
        assert_eq!(bars, Bars { widths: vec![9.0, 3.0, 4.0, 8.0], first_dark: false });
        let reversed = bars.reversed();
        assert_eq!(reversed, Bars { widths: vec![8.0, 4.0, 3.0, 9.0], first_dark: true });
        assert_eq!(reversed.reversed(), bars);
    }

    #[test]
    fn an_edge_between_two_samples_lies_where_the_shade_says() {
        // The bar covers a quarter of the third sample and three quarters of the seventh.
        let mut shades = line(&[(200.0, 2), (150.0, 1), (0.0, 3), (50.0, 1), (200.0, 5)]);
        shades.extend(line(&[(200.0, 5)]));
        let widths = bars(&shades, 4).unwrap().widths;
        assert!((widths[1] - 4.0).abs() < 0.35, "{widths:?}");
    }

    #[test]
    fn a_shadow_over_half_the_line_moves_the_threshold_along() {
        let lit = [(250.0, 40), (90.0, 4), (250.0, 4), (90.0, 4), (250.0, 40)];
        let shadow = lit.map(|(shade, width)| (shade / 3.0, width));
        let bars = bars(&[line(&lit), line(&shadow)].concat(), 2).unwrap();
        let last = bars.widths.len() - 1;
        for width in bars.widths[1..4].iter().chain(&bars.widths[last - 3..last]) {
            assert!((width - 4.0).abs() < 0.1, "{:?}", bars.widths);
        }
    }

    #[test]
    fn ripples_are_no_bars_and_a_flat_line_has_none() {
        let ripple: Vec<_> = (0..60).map(|at| if at % 2 == 0 { 200.0 } else { 212.0 }).collect();
        assert_eq!(bars(&ripple, 4), None);
        assert_eq!(bars(&[], 4), None);
        let beside = [ripple.clone(), line(&[(10.0, 30)]), ripple].concat();
        assert_eq!(bars(&beside, 4).unwrap().widths.len(), 3);
    }
}
