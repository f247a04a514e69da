//! Draws codes for tests, from the tables of the standard written out once more as bits.

/// Set A as modules, light 0 and dark 1.
const SET_A: [&str; 10] = [
    "0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111",
    "0001011",
];
/// Which of the six digits are of which set, by the first digit.
const SETS: [&str; 10] =
    ["AAAAAA", "AABABB", "AABBAB", "AABBBA", "ABAABB", "ABBAAB", "ABBBAA", "ABABAB", "ABABBA", "ABBABA"];

/// The modules of an EAN-13 or EAN-8 without the light around it; true is dark.
pub(crate) fn modules(digits: &str) -> Vec<bool> {
    let values: Vec<usize> = digits.bytes().map(|byte| usize::from(byte - b'0')).collect();
    let (sets, values) = match values.len() {
        13 => (SETS[values[0]], &values[1..]),
        8 => ("AAAA", &values[..]),
        length => panic!("no code has {length} digits"),
    };
    let flipped = |bits: &str| bits.chars().map(|bit| if bit == '0' { '1' } else { '0' }).collect::<String>();
    let (left, right) = values.split_at(sets.len());
    let mut bits = "101".to_owned();
    for (digit, set) in left.iter().zip(sets.chars()) {
        let set_c = flipped(SET_A[*digit]);
        bits += &if set == 'A' { SET_A[*digit].to_owned() } else { set_c.chars().rev().collect() };
    }
    bits += "01010";
    right.iter().for_each(|digit| bits += &flipped(SET_A[*digit]));
    bits += "101";
    bits.bytes().map(|bit| bit == b'1').collect()
}
