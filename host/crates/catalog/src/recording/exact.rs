//! Floats in JSON, bit for bit. JSON has neither NaN nor infinity: the usual NaN, which stands for a missing number, is
//! `null`, and any other float that is not finite is the text of its bits in hexadecimal.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A float of some width.
pub(crate) trait Float: Copy {
    /// What stands for a missing number.
    const MISSING: Self;
    fn bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
    /// A number of JSON that [`Float::from_number`] turns into exactly this; none when it is not finite.
    fn number(self) -> Option<f64>;
    fn from_number(number: f64) -> Self;
}

impl Float for f64 {
    const MISSING: Self = Self::NAN;
    fn bits(self) -> u64 {
        self.to_bits()
    }
    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits)
    }
    fn number(self) -> Option<f64> {
        self.is_finite().then_some(self)
    }
    fn from_number(number: f64) -> Self {
        number
    }
}

impl Float for f32 {
    const MISSING: Self = Self::NAN;
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
    fn from_bits(bits: u64) -> Self {
        // Callers check the number of digits.
        Self::from_bits(bits as u32)
    }
    fn number(self) -> Option<f64> {
        // 0.1 instead of 0.10000000149011612, unless rounding twice would end elsewhere.
        let short = format!("{self:e}").parse().ok().filter(|short| *short as Self == self);
        self.is_finite().then(|| short.unwrap_or(self.into()))
    }
    fn from_number(number: f64) -> Self {
        number as Self
    }
}

/// A float that is written exactly.
#[derive(Clone, Copy)]
pub(crate) struct Exact<F>(F);

impl<F: Float> Serialize for Exact<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.number() {
            Some(number) => serializer.serialize_f64(number),
            None if self.0.bits() == F::MISSING.bits() => serializer.serialize_unit(),
            None => serializer.collect_str(&format_args!("{:0w$x}", self.0.bits(), w = size_of::<F>() * 2)),
        }
    }
}

impl<'de, F: Float> Deserialize<'de> for Exact<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<F>(PhantomData<F>);

impl<F: Float> de::Visitor<'_> for Reader<F> {
    type Value = Exact<F>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a number of {0} bits, null, or the {1} hex digits of one that is not finite",
            size_of::<F>() * 8,
            size_of::<F>() * 2
        )
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        let float = F::from_number(number);
        match float.number() {
            Some(_) => Ok(Exact(float)),
            None => Err(E::invalid_value(de::Unexpected::Float(number), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_f64(number as f64)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Exact(F::MISSING))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let bits = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == size_of::<F>() * 2);
        let float = bits.map(F::from_bits).filter(|float| float.number().is_none());
        float.map(Exact).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// `#[serde(with = "exact")]` for one float.
pub(crate) fn serialize<F: Float, S: Serializer>(float: &F, serializer: S) -> Result<S::Ok, S::Error> {
    Exact(*float).serialize(serializer)
}

/// The other way.
pub(crate) fn deserialize<'de, F: Float, D: Deserializer<'de>>(deserializer: D) -> Result<F, D::Error> {
    Exact::deserialize(deserializer).map(|exact| exact.0)
}

/// For a list of floats.
pub(crate) mod list {
    use super::*;

    pub(crate) fn serialize<F: Float, S: Serializer>(floats: &[F], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(floats.iter().map(|float| Exact(*float)))
    }

    pub(crate) fn deserialize<'de, F: Float, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<F>, D::Error> {
        let exact = Vec::<Exact<F>>::deserialize(deserializer)?;
        Ok(exact.into_iter().map(|exact| exact.0).collect())
    }
}

/// For named lists of floats.
pub(crate) mod columns {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(bound = "F: Float")]
    struct Column<F>(String, #[serde(with = "super::list")] Vec<F>);

    pub(crate) fn serialize<F: Float, S: Serializer>(
        columns: &[(String, Vec<F>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(columns.iter().map(|(name, floats)| Column(name.clone(), floats.clone())))
    }

    pub(crate) fn deserialize<'de, F: Float, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, Vec<F>)>, D::Error> {
        let columns = Vec::<Column<F>>::deserialize(deserializer)?;
        Ok(columns.into_iter().map(|Column(name, floats)| (name, floats)).collect())
    }
}

/// For things with a score.
pub(crate) mod scored {
    use super::*;

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        scored: &[(T, f32)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(scored.iter().map(|(thing, score)| (thing, Exact(*score))))
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(T, f32)>, D::Error> {
        let scored = Vec::<(T, Exact<f32>)>::deserialize(deserializer)?;
        Ok(scored.into_iter().map(|(thing, score)| (thing, score.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text<F: Float>(float: F) -> String {
        serde_json::to_string(&Exact(float)).unwrap()
    }

    fn bits_after_the_trip<F: Float>(float: F) -> u64 {
        serde_json::from_str::<Exact<F>>(&text(float)).unwrap().0.bits()
    }

    proptest! {
        #[test]
        fn every_float_survives_bit_for_bit(wide in any::<u64>(), narrow in any::<u32>()) {
            prop_assert_eq!(bits_after_the_trip(f64::from_bits(wide)), wide);
            prop_assert_eq!(bits_after_the_trip(f32::from_bits(narrow)), u64::from(narrow));
        }
    }

    #[rstest::rstest]
    #[case(0.1, "0.1")]
    #[case(-0.0, "-0.0")]
    #[case(f32::MIN_POSITIVE, "1.1754944e-38")]
    #[case(f32::NAN, "null")]
    #[case(f32::INFINITY, "\"7f800000\"")]
    #[case(f32::from_bits(0xffc0_0001), "\"ffc00001\"")]
    fn a_float_reads_well_where_it_can(#[case] float: f32, #[case] written: &str) {
        assert_eq!(text(float), written);
        assert_eq!(bits_after_the_trip(float), float.bits());
    }

    #[rstest::rstest]
    #[case::beyond_the_width("1e39")]
    #[case::finite_in_disguise("\"3f800000\"")]
    #[case::too_short("\"7f80\"")]
    #[case::too_long("\"00000007f800000\"")]
    #[case::sign("\"+7f80000\"")]
    #[case::word("\"NaN\"")]
    #[case::truth("true")]
    fn what_is_no_float_is_refused(#[case] written: &str) {
        assert!(serde_json::from_str::<Exact<f32>>(written).is_err());
    }
}
