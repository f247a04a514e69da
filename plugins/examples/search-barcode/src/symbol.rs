//! Bars as digits: EAN-13 (of which UPC-A is the part that begins with 0) and EAN-8.
//!
//! GS1 General Specifications, 5.2: every digit is two light and two dark stretches of seven modules together.

use crate::{bars::Bars, gtin::Gtin};

/// The widths of the digits 0 to 9 in set A, which begins light; set C is the same beginning dark, set B is A backwards.
const SET_A: [[u8; 4]; 10] = [
    [3, 2, 1, 1],
    [2, 2, 2, 1],
    [2, 1, 2, 2],
    [1, 4, 1, 1],
    [1, 1, 3, 2],
    [1, 2, 3, 1],
    [1, 1, 1, 4],
    [1, 3, 1, 2],
    [1, 2, 1, 3],
    [3, 1, 1, 2],
];
/// The first digit of an EAN-13 is told by which of the next six are of set B: a bit each, the first digit's highest.
const SETS_BY_FIRST: [u8; 10] =
    [0b000000, 0b001011, 0b001101, 0b001110, 0b010011, 0b011001, 0b011100, 0b010101, 0b010110, 0b011010];
/// Modules that must be light before and behind a code. The standard asks for 7 and more; pictures are cut closely.
const QUIET: f32 = 3.0;
/// Most modules by which the four stretches of one digit may be off, all together.
const MOST_OFF: f32 = 1.5;

/// How a kind of code is built.
struct Layout {
    /// Digits in each half.
    half: usize,
}

const EAN_13: Layout = Layout { half: 6 };
const EAN_8: Layout = Layout { half: 4 };

impl Layout {
    /// Stretches: three for the guard at each end, five in the middle, four for each digit.
    fn stretches(&self) -> usize {
        11 + 8 * self.half
    }

    /// Modules over all.
    fn modules(&self) -> f32 {
        11.0 + 14.0 * self.half as f32
    }
}

/// Every code on a line, read from left to right.
pub fn codes(bars: &Bars) -> Vec<Gtin> {
    let first_dark = usize::from(!bars.first_dark);
    let starts = (first_dark..bars.widths.len()).step_by(2);
    starts
        .filter_map(|start| code(&bars.widths, start, &EAN_13).or_else(|| code(&bars.widths, start, &EAN_8)))
        .collect()
}

/// The code that begins with the dark stretch at `start`.
fn code(widths: &[f32], start: usize, layout: &Layout) -> Option<Gtin> {
    let end = start + layout.stretches();
    let code = widths.get(start..end)?;
    let module = code.iter().sum::<f32>() / layout.modules();
    let quiet = |width: Option<&f32>| width.is_none_or(|width| *width >= QUIET * module);
    if !quiet(start.checked_sub(1).map(|before| &widths[before])) || !quiet(widths.get(end)) {
        return None;
    }
    let middle = 3 + 4 * layout.half;
    let guards = [&code[..3], &code[middle..middle + 5], &code[code.len() - 3..]];
    let spread = spread(&guards, module)?;
    let (left, right) = (&code[3..middle], &code[middle + 5..code.len() - 3]);
    let left: Vec<_> = left.chunks_exact(4).map(|digit| left_digit(digit, spread)).collect::<Option<_>>()?;
    let right: Vec<_> =
        right.chunks_exact(4).map(|digit| right_digit(digit, spread)).collect::<Option<_>>()?;
    let sets = left.iter().fold(0, |sets, (_, set_b)| sets << 1 | u8::from(*set_b));
    let mut digits: Vec<u8> = Vec::with_capacity(13);
    if layout.half == EAN_13.half {
        let first = SETS_BY_FIRST.iter().position(|of_first| *of_first == sets)?;
        digits.push(first as u8);
    } else if sets != 0 {
        return None;
    }
    digits.extend(left.into_iter().map(|(digit, _)| digit));
    digits.extend(right);
    Gtin::of(&digits)
}

/// How much too wide dark stretches are and light ones too narrow, which ink and blur make alike all over a code;
/// none where the guards, which are of one module each, are no guards.
fn spread(guards: &[&[f32]; 3], module: f32) -> Option<f32> {
    let (mut dark, mut light) = (0.0, 0.0);
    for (guard, dark_first) in guards.iter().zip([true, false, true]) {
        for (at, width) in guard.iter().enumerate() {
            *(if (at % 2 == 0) == dark_first { &mut dark } else { &mut light }) += *width;
        }
    }
    // Six of the eleven stretches are dark: the ends have two dark ones each, the middle too.
    let spread = (dark / 6.0 - light / 5.0) / 2.0;
    let is_one = |width: f32| (0.4 * module..1.8 * module).contains(&width);
    let fits = |guard: &[f32], dark_first: bool| {
        let even = |(at, width): (usize, &f32)| {
            is_one(if (at % 2 == 0) == dark_first { width - spread } else { width + spread })
        };
        guard.iter().enumerate().all(even)
    };
    let all = guards.iter().zip([true, false, true]).all(|(guard, dark_first)| fits(guard, dark_first));
    all.then_some(spread)
}

/// A digit of the left half, which begins light, and whether it is of set B.
fn left_digit(widths: &[f32], spread: f32) -> Option<(u8, bool)> {
    let modules = modules(widths, spread, false);
    let reversed = [modules[3], modules[2], modules[1], modules[0]];
    let (a, off_a) = nearest(modules);
    let (b, off_b) = nearest(reversed);
    let (digit, off, set_b) = if off_a <= off_b { (a, off_a, false) } else { (b, off_b, true) };
    (off <= MOST_OFF).then_some((digit, set_b))
}

/// A digit of the right half, which begins dark.
fn right_digit(widths: &[f32], spread: f32) -> Option<u8> {
    let (digit, off) = nearest(modules(widths, spread, true));
    (off <= MOST_OFF).then_some(digit)
}

/// The four widths of a digit in modules, of which there are seven.
fn modules(widths: &[f32], spread: f32, dark_first: bool) -> [f32; 4] {
    let scale = 7.0 / widths.iter().sum::<f32>();
    std::array::from_fn(|at| {
        let dark = (at % 2 == 0) == dark_first;
        (if dark { widths[at] - spread } else { widths[at] + spread }) * scale
    })
}

/// The digit of set A that these widths come nearest to, and how many modules they are off.
fn nearest(modules: [f32; 4]) -> (u8, f32) {
    let off = |widths: &[u8; 4]| -> f32 {
        modules.iter().zip(widths).map(|(is, should)| (is - f32::from(*should)).abs()).sum()
    };
    let all = SET_A.iter().map(off).zip(0_u8..).map(|(off, digit)| (digit, off));
    all.reduce(|best, other| if other.1 < best.1 { other } else { best }).unwrap_or((0, f32::INFINITY))
}

#[cfg(test)]
pub(crate) mod draw;

#[cfg(test)]
mod tests {
    use super::*;

    /// The stretches of a code, each module as wide as told, with light on both sides.
    fn drawn(digits: &str, module: f32, quiet: f32) -> Bars {
        let modules = draw::modules(digits);
        let stretches = modules.chunk_by(|a, b| a == b).map(|stretch| stretch.len() as f32 * module);
        let widths = std::iter::once(quiet * module).chain(stretches).chain([quiet * module]).collect();
        Bars { widths, first_dark: false }
    }

    fn read(bars: &Bars) -> Vec<Gtin> {
        codes(bars)
    }

    #[test]
    fn each_kind_of_code_is_read_at_any_size() {
        for digits in ["4006381333931", "0036000291452", "96385074", "9780306406157", "1234567890128"] {
            for module in [0.7, 1.0, 3.3, 40.0] {
                assert_eq!(read(&drawn(digits, module, 9.0)), [Gtin::parse(digits).unwrap()], "{digits}");
            }
        }
    }

    #[test]
    fn backwards_there_is_no_code_and_reversed_there_is() {
        for digits in ["4006381333931", "96385074"] {
            let backwards = drawn(digits, 2.0, 9.0).reversed();
            assert!(read(&backwards).is_empty());
            assert_eq!(read(&backwards.reversed()).len(), 1);
        }
    }

    #[test]
    fn ink_that_spread_is_taken_off_again() {
        let mut bars = drawn("4006381333931", 3.0, 9.0);
        for (at, width) in bars.widths.iter_mut().enumerate() {
            *width += if at % 2 == 0 { -1.2 } else { 1.2 };
        }
        assert_eq!(read(&bars).len(), 1);
    }

    #[test]
    fn a_code_needs_light_around_it_and_its_check_digit() {
        assert!(read(&drawn("4006381333931", 2.0, 2.0)).is_empty());
        assert!(read(&drawn("4006381333932", 2.0, 9.0)).is_empty());
        let tight = drawn("4006381333931", 2.0, 0.0);
        let cut = Bars { widths: tight.widths[1..tight.widths.len() - 1].to_vec(), first_dark: true };
        assert_eq!(read(&cut).len(), 1, "the border of the picture will do");
    }

    #[test]
    fn even_stripes_are_no_code() {
        let stripes = Bars { widths: vec![3.0; 300], first_dark: true };
        assert!(read(&stripes).is_empty());
    }
}
