//! How many typing errors lie between two words.

/// The least number of letters left out, put in, taken for another or swapped with the next that makes one word of the other;
/// none when it is more than `most`.
///
/// Optimal string alignment, the restricted form of Damerau's distance (F. J. Damerau, A technique for computer detection and
/// correction of spelling errors, 1964): no letter is changed twice.
pub(super) fn typos(one: &[char], other: &[char], most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let width = other.len() + 1;
    let (mut before, mut last, mut row) = (vec![0; width], (0..width).collect::<Vec<_>>(), vec![0; width]);
    for (i, a) in one.iter().enumerate() {
        row[0] = i + 1;
        let mut least = row[0];
        for (j, b) in other.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                cost = cost.min(before[j - 1] + 1);
            }
            row[j + 1] = cost;
            least = least.min(cost);
        }
        if least > most {
            return None;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    Some(last[other.len()]).filter(|errors| *errors <= most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn between(one: &str, other: &str, most: usize) -> Option<usize> {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        typos(&letters(one), &letters(other), most)
    }

    #[test]
    fn each_error_counts_once() {
        assert_eq!(between("shoe", "shoe", 0), Some(0));
        for wrong in ["sheo", "sho", "shoee", "shie"] {
            assert_eq!(between(wrong, "shoe", 1), Some(1), "{wrong}");
        }
        assert_eq!(between("sheo", "shoes", 2), Some(2));
        assert_eq!(between("kettle", "lamp", 2), None);
        assert_eq!(between("", "ab", 2), Some(2));
    }

    proptest! {
        #[test]
        fn the_distance_is_the_same_both_ways_and_none_only_beyond_the_most(
            one in "[a-c]{0,6}", other in "[a-c]{0,6}", most in 0_usize..4,
        ) {
            let whole = between(&one, &other, 12).unwrap();
            prop_assert_eq!(between(&other, &one, 12), Some(whole));
            prop_assert_eq!(between(&one, &other, most), Some(whole).filter(|errors| *errors <= most));
            prop_assert_eq!(whole == 0, one == other);
        }
    }
}
