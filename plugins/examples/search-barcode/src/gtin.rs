//! Article numbers: EAN-8, UPC-A, EAN-13 and GTIN-14 are one numbering, written with more or fewer leading zeros.

use taja_plugin::json::quoted;

/// How many digits a written number may have.
const LENGTHS: [usize; 4] = [8, 12, 13, 14];

/// An article number whose check digit is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gtin {
    /// Its digits without leading zeros.
    significant: String,
}

impl Gtin {
    /// Reads digits as people write them, with spaces and hyphens. The error is for the client.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits: String =
            text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("the barcode holds something that is not a digit".to_owned());
        }
        if !LENGTHS.contains(&digits.len()) {
            return Err(format!(
                "the barcode has {} digits; there are codes of 8, 12, 13 and 14",
                digits.len()
            ));
        }
        let values: Vec<u8> = digits.bytes().map(|byte| byte - b'0').collect();
        match check_digit(&values[..values.len() - 1]) {
            right if values.last() == Some(&right) => Self::of(&values),
            right => {
                return Err(format!("{digits} is no valid barcode: its last digit would have to be {right}"));
            }
        }
        .ok_or_else(|| "a barcode of nothing but zeros stands for no product".to_owned())
    }

    /// The number with these digits; none when the check digit is wrong or all of them are zero.
    pub fn of(digits: &[u8]) -> Option<Self> {
        let (last, others) = digits.split_last()?;
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        let significant: String = digits[zeros..].iter().map(|digit| char::from(b'0' + digit)).collect();
        (*last == check_digit(others) && !significant.is_empty()).then_some(Self { significant })
    }

    /// Every way to write it.
    pub fn spellings(&self) -> impl Iterator<Item = String> {
        let fitting = LENGTHS.into_iter().filter(|length| *length >= self.significant.len());
        fitting.map(|length| format!("{:0>length$}", self.significant))
    }

    /// The filter that products pass which have the number in one of the fields, written in any way or as a number.
    pub fn filter(&self, fields: &[String]) -> String {
        let mut values: Vec<_> = self.spellings().map(|spelling| quoted(&spelling)).collect();
        values.push(self.significant.clone());
        let values = values.join(",");
        let field = |field: &String| format!("{{{}:{{\"in\":[{values}]}}}}", quoted(field));
        format!("{{\"or\":[{}]}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
    }
}

/// The digit that follows these: from the right they count 3, 1, 3, 1, and with the check digit the sum is a multiple
/// of ten. (GS1 General Specifications, 7.9.)
pub fn check_digit(digits: &[u8]) -> u8 {
    let weighed = digits.iter().rev().zip([3, 1].into_iter().cycle());
    let sum: u32 = weighed.map(|(digit, weight)| u32::from(*digit) * weight).sum();
    ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spellings(text: &str) -> Vec<String> {
        Gtin::parse(text).unwrap().spellings().collect()
    }

    #[test]
    fn one_number_is_found_however_many_zeros_stand_before_it() {
        assert_eq!(spellings("4006381333931"), ["4006381333931", "04006381333931"]);
        let upc = ["036000291452", "0036000291452", "00036000291452"];
        for written in ["036000291452", "0036000291452", "0-36000-29145-2", " 00036000291452 "] {
            assert_eq!(spellings(written), upc);
        }
        assert_eq!(spellings("96385074"), ["96385074", "000096385074", "0000096385074", "00000096385074"]);
    }

    #[test]
    fn the_filter_takes_texts_and_numbers_in_every_field() {
        let fields = ["sku".to_owned(), "attributes.e\"n".to_owned()];
        let filter = Gtin::parse("4006381333931").unwrap().filter(&fields);
        let values = r#"{"in":["4006381333931","04006381333931",4006381333931]}"#;
        assert_eq!(filter, format!(r#"{{"or":[{{"sku":{values}}},{{"attributes.e\"n":{values}}}]}}"#));
    }

    #[test]
    fn what_is_no_code_is_refused_with_the_reason() {
        let error = |text| Gtin::parse(text).unwrap_err();
        assert!(error("4006381333932").ends_with("its last digit would have to be 1"));
        assert!(error("12345").contains("5 digits"));
        assert!(error("").contains("0 digits"));
        assert!(error("40063813339e1").contains("not a digit"));
        assert!(error("00000000").contains("zeros"));
    }

    #[test]
    fn digits_that_were_read_need_their_check_digit() {
        assert!(Gtin::of(&[9, 6, 3, 8, 5, 0, 7, 4]).is_some());
        assert!(Gtin::of(&[9, 6, 3, 8, 5, 0, 7, 5]).is_none());
        assert!(Gtin::of(&[0; 13]).is_none() && Gtin::of(&[]).is_none());
    }
}
