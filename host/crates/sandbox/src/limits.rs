//! What one call of a plugin may use up.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Turns parts of a query into legs.
    Search,
    /// Decides what becomes of an upload.
    Ingest,
    /// Orders candidates.
    Rank,
}

impl Kind {
    /// Its name in manifests, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Ingest => "ingest",
            Self::Rank => "rank",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one call of a plugin may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Time the guest itself may compute.
    pub cpu: Duration,
    /// Time the call may last, without what it waits for inside host calls, which have a deadline of their own, and until a
    /// busy machine lets it compute.
    pub wall: Duration,
    /// Bytes of all linear memories and tables together; as much again the host holds behind the guest's handles.
    pub memory_bytes: usize,
    /// Host calls that can be refused; plain accessors are free.
    pub host_calls: u32,
    /// Bytes one call may carry from the guest to the host.
    pub hostcall_fuel_bytes: usize,
    /// Handles the guest may hold at one time.
    pub handles: usize,
    /// Bytes of log lines; each costs 128 beside its message.
    pub log_bytes: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Limits {
    /// What a plugin of this kind gets when its manifest asks for nothing else.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Rank => Self {
                cpu: Duration::from_millis(20),
                wall: Duration::from_millis(250),
                memory_bytes: 16 * MIB,
                host_calls: 32,
                hostcall_fuel_bytes: 256 * KIB,
                handles: 64,
                log_bytes: 8 * KIB,
            },
            Kind::Search => Self {
                cpu: Duration::from_millis(50),
                wall: Duration::from_secs(2),
                memory_bytes: 64 * MIB,
                host_calls: 64,
                hostcall_fuel_bytes: MIB,
                handles: 256,
                log_bytes: 16 * KIB,
            },
            Kind::Ingest => Self {
                cpu: Duration::from_secs(2),
                wall: Duration::from_secs(60),
                memory_bytes: 256 * MIB,
                host_calls: 1024,
                hostcall_fuel_bytes: 4 * MIB,
                handles: 2048,
                log_bytes: 64 * KIB,
            },
        }
    }

    /// The most that the operator's own plugins get when nothing else is configured: room for a guest that brings an
    /// interpreter along, whatever it does.
    pub const OPERATORS: Self = Self {
        cpu: Duration::from_secs(10),
        wall: Duration::from_secs(120),
        memory_bytes: 256 * MIB,
        host_calls: 4096,
        hostcall_fuel_bytes: 16 * MIB,
        handles: 8192,
        log_bytes: 256 * KIB,
    };

    /// The most that a plugin gets which a shop brought itself, when nothing else is configured: an interpreter has room,
    /// and a shop takes no core from the others for longer than half a second.
    pub const SHOPS: Self = Self {
        cpu: Duration::from_millis(500),
        wall: Duration::from_secs(3),
        memory_bytes: 128 * MIB,
        host_calls: 256,
        hostcall_fuel_bytes: 4 * MIB,
        handles: 1024,
        log_bytes: 64 * KIB,
    };

    /// Reads limits as [`Limits`] are printed, `cpu_ms=500,memory_mib=128`; what is not named is as in `others`. All
    /// mistakes come together.
    pub fn parse(text: &str, others: &Self) -> Result<Self, String> {
        let mut written: [Option<u32>; NAMES.len()] = Default::default();
        let mut mistakes = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match parse_entry(entry) {
                Ok((place, _)) if written[place].is_some() => {
                    mistakes.push(format!("{} is there twice", NAMES[place]));
                }
                Ok((place, number)) => written[place] = Some(number),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() {
            Ok(others.asked(&WrittenLimits::from_numbers(written)))
        } else {
            Err(mistakes.join("; "))
        }
    }

    /// These limits with what somebody asks for in their place.
    pub(crate) fn asked(&self, asked: &WrittenLimits) -> Self {
        let (own, asked) = (self.numbers(), asked.numbers());
        Self::from_numbers(std::array::from_fn(|place| asked[place].unwrap_or(own[place])))
    }

    /// The lower one of each.
    pub(crate) fn within(&self, maximum: &Self) -> Self {
        let (own, maximum) = (self.numbers(), maximum.numbers());
        Self::from_numbers(std::array::from_fn(|place| own[place].min(maximum[place])))
    }

    /// The higher one of each.
    pub(crate) fn or_more(&self, other: &Self) -> Self {
        let (own, other) = (self.numbers(), other.numbers());
        Self::from_numbers(std::array::from_fn(|place| own[place].max(other[place])))
    }

    /// In the units and the order of [`NAMES`].
    fn numbers(&self) -> [u32; NAMES.len()] {
        let number = |number: u128| u32::try_from(number).unwrap_or(u32::MAX);
        let units = |bytes: usize, unit: usize| number((bytes / unit) as u128);
        [
            number(self.cpu.as_millis()),
            number(self.wall.as_millis()),
            units(self.memory_bytes, MIB),
            self.host_calls,
            units(self.hostcall_fuel_bytes, KIB),
            units(self.handles, 1),
            units(self.log_bytes, KIB),
        ]
    }

    fn from_numbers(numbers: [u32; NAMES.len()]) -> Self {
        let [cpu_ms, wall_ms, memory_mib, host_calls, hostcall_fuel_kib, handles, log_kib] = numbers;
        let bytes = |number: u32, unit: usize| (number as usize).saturating_mul(unit);
        Self {
            cpu: Duration::from_millis(cpu_ms.into()),
            wall: Duration::from_millis(wall_ms.into()),
            memory_bytes: bytes(memory_mib, MIB),
            host_calls,
            hostcall_fuel_bytes: bytes(hostcall_fuel_kib, KIB),
            handles: handles as usize,
            log_bytes: bytes(log_kib, KIB),
        }
    }
}

/// As [`Limits::parse`] reads them.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = NAMES.iter().zip(self.numbers()).map(|(name, number)| format!("{name}={number}"));
        f.write_str(&entries.collect::<Vec<_>>().join(","))
    }
}

/// The limits by their names in manifests and settings.
const NAMES: [&str; 7] =
    ["cpu_ms", "wall_ms", "memory_mib", "host_calls", "hostcall_fuel_kib", "handles", "log_kib"];
/// The place of the memory among them, and the most that a guest can address.
const MEMORY: (usize, u32) = (2, 4096);

/// The place of a limit and its number.
fn parse_entry(entry: &str) -> Result<(usize, u32), String> {
    let (name, number) = entry.split_once('=').ok_or_else(|| format!("{entry:?} is not NAME=NUMBER"))?;
    let name = name.trim();
    let place = NAMES.iter().position(|known| *known == name);
    let place = place.ok_or_else(|| format!("{name:?} is no limit: it is one of {}", NAMES.join(", ")))?;
    let most = if place == MEMORY.0 { MEMORY.1 } else { u32::MAX };
    let number = number.trim();
    match number.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok((place, number)),
        _ => Err(format!("{name}: {number:?} is not a whole number from 1 to {most}")),
    }
}

/// Limits as they are written: in a manifest, what a plugin asks for; what is left out is not spoken of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenLimits {
    /// Milliseconds of its own computing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u32>,
    /// Milliseconds a call may last, without host calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u32>,
    /// MiB of linear memory and tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Host calls that can be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_calls: Option<u32>,
    /// KiB one call may carry to the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostcall_fuel_kib: Option<u32>,
    /// Handles held at one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handles: Option<u32>,
    /// KiB of log lines; each costs 128 bytes beside its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_kib: Option<u32>,
}

impl WrittenLimits {
    /// In the order of [`NAMES`].
    fn numbers(&self) -> [Option<u32>; NAMES.len()] {
        let Self { cpu_ms, wall_ms, memory_mib, host_calls, hostcall_fuel_kib, handles, log_kib } = *self;
        [cpu_ms, wall_ms, memory_mib, host_calls, hostcall_fuel_kib, handles, log_kib]
    }

    fn from_numbers(numbers: [Option<u32>; NAMES.len()]) -> Self {
        let [cpu_ms, wall_ms, memory_mib, host_calls, hostcall_fuel_kib, handles, log_kib] = numbers;
        Self { cpu_ms, wall_ms, memory_mib, host_calls, hostcall_fuel_kib, handles, log_kib }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a call of a plugin may use up, and what it would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Allowance {
    /// What it gets: every limit.
    pub granted: WrittenLimits,
    /// What it asks for, by itself or by its kind, where that is more.
    #[serde(skip_serializing_if = "WrittenLimits::is_empty")]
    pub asked: WrittenLimits,
}

impl Allowance {
    /// Of a plugin whose manifest asks so.
    pub(crate) fn new(kind: Kind, asked: &WrittenLimits, maximum: &Limits) -> Self {
        let asked = Limits::of(kind).asked(asked);
        let (granted, asked) = (asked.within(maximum).numbers(), asked.numbers());
        let more = |place: usize| Some(asked[place]).filter(|number| *number > granted[place]);
        Self {
            granted: WrittenLimits::from_numbers(granted.map(Some)),
            asked: WrittenLimits::from_numbers(std::array::from_fn(more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_gets_what_it_asks_for_up_to_the_maximum_of_whoever_brings_it() {
        let asked = WrittenLimits { cpu_ms: Some(5), memory_mib: Some(4000), ..Default::default() };
        let wanted = Limits::of(Kind::Rank).asked(&asked);
        for maximum in [Limits::OPERATORS, Limits::SHOPS] {
            let granted = wanted.within(&maximum);
            assert_eq!(granted.cpu, Duration::from_millis(5));
            assert_eq!(granted.memory_bytes, maximum.memory_bytes);
            assert_eq!(granted.wall, Limits::of(Kind::Rank).wall);
        }
    }

    #[test]
    fn what_is_not_granted_is_told_beside_what_is() {
        let asked = WrittenLimits { cpu_ms: Some(9000), handles: Some(7), ..Default::default() };
        let allowance = Allowance::new(Kind::Search, &asked, &Limits::SHOPS);
        assert_eq!((allowance.granted.cpu_ms, allowance.granted.handles), (Some(500), Some(7)));
        assert_eq!(allowance.asked, WrittenLimits { cpu_ms: Some(9000), ..Default::default() });
        let own = Allowance::new(Kind::Ingest, &WrittenLimits::default(), &Limits::OPERATORS);
        assert_eq!(own.granted, WrittenLimits::from_numbers(Limits::of(Kind::Ingest).numbers().map(Some)));
        assert!(own.asked.is_empty());
        // A kind asks for more than a shop gets, too.
        let shops = Allowance::new(Kind::Ingest, &WrittenLimits::default(), &Limits::SHOPS);
        assert_eq!((shops.granted.wall_ms, shops.asked.wall_ms), (Some(3000), Some(60_000)));
    }

    #[test]
    fn limits_are_read_as_they_are_printed_and_what_is_not_named_stays() {
        for limits in [Limits::OPERATORS, Limits::SHOPS, Limits::of(Kind::Rank), Limits::of(Kind::Search)] {
            assert_eq!(Limits::parse(&limits.to_string(), &Limits::of(Kind::Ingest)), Ok(limits));
        }
        let some = Limits::parse(" wall_ms = 7 , memory_mib=4096, ", &Limits::SHOPS).unwrap();
        assert_eq!(some.wall, Duration::from_millis(7));
        assert_eq!(some.memory_bytes, 4096 * MIB);
        assert_eq!(Limits { wall: Limits::SHOPS.wall, memory_bytes: 128 * MIB, ..some }, Limits::SHOPS);
        assert_eq!(Limits::parse("", &Limits::SHOPS), Ok(Limits::SHOPS));
    }

    #[rstest::rstest]
    #[case("cpu=5", "\"cpu\" is no limit: it is one of cpu_ms, wall_ms, ")]
    #[case("cpu_ms", "\"cpu_ms\" is not NAME=NUMBER")]
    #[case("cpu_ms=", "cpu_ms: \"\" is not a whole number from 1")]
    #[case("cpu_ms=0", "cpu_ms: \"0\" is not a whole number from 1")]
    #[case("cpu_ms=1.5", "cpu_ms: \"1.5\" is not a whole number")]
    #[case("cpu_ms=-1", "cpu_ms: \"-1\" is not a whole number")]
    #[case("cpu_ms=5000000000", "from 1 to 4294967295")]
    #[case("memory_mib=4097", "memory_mib: \"4097\" is not a whole number from 1 to 4096")]
    #[case("handles=1,handles=2", "handles is there twice")]
    #[case("cpu=5,wall_ms=x", "wall_ms: \"x\"")]
    fn limits_that_mean_nothing_are_refused_by_name(#[case] text: &str, #[case] says: &str) {
        let mistakes = Limits::parse(text, &Limits::SHOPS).unwrap_err();
        assert!(mistakes.contains(says), "{mistakes}");
    }
}
