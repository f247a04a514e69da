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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time the guest itself may compute.
    pub cpu: Duration,
    /// Time the call may last, without what it waits for inside host calls: those have a deadline of their own.
    pub wall: Duration,
    /// Bytes of all linear memories and tables together; as much again the host holds behind the guest's handles.
    pub memory_bytes: usize,
    /// Host calls that can be refused; plain accessors are free.
    pub host_calls: u32,
    /// Bytes one call may carry from the guest to the host.
    pub hostcall_fuel_bytes: usize,
    /// Handles the guest may hold at one time.
    pub handles: usize,
    /// Bytes of log lines.
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

    /// The most an operator grants when nothing else is configured: room for a guest that brings an interpreter along.
    pub fn maximum() -> Self {
        Self {
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(120),
            memory_bytes: 256 * MIB,
            host_calls: 4096,
            hostcall_fuel_bytes: 16 * MIB,
            handles: 8192,
            log_bytes: 256 * KIB,
        }
    }

    /// These limits with what the manifest asks for in their place, and nothing above `maximum`.
    pub fn granted(self, asked: &LimitRequest, maximum: &Self) -> Self {
        let millis =
            |asked: Option<u32>, default| asked.map_or(default, |ms| Duration::from_millis(ms.into()));
        let bytes = |asked: Option<u32>, unit: usize, default| asked.map_or(default, |n| n as usize * unit);
        Self {
            cpu: millis(asked.cpu_ms, self.cpu).min(maximum.cpu),
            wall: millis(asked.wall_ms, self.wall).min(maximum.wall),
            memory_bytes: bytes(asked.memory_mib, MIB, self.memory_bytes).min(maximum.memory_bytes),
            host_calls: asked.host_calls.unwrap_or(self.host_calls).min(maximum.host_calls),
            hostcall_fuel_bytes: bytes(asked.hostcall_fuel_kib, KIB, self.hostcall_fuel_bytes)
                .min(maximum.hostcall_fuel_bytes),
            handles: bytes(asked.handles, 1, self.handles).min(maximum.handles),
            log_bytes: bytes(asked.log_kib, KIB, self.log_bytes).min(maximum.log_bytes),
        }
    }
}

/// The `[limits]` of a manifest: what a plugin asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitRequest {
    /// Milliseconds of its own computing.
    pub cpu_ms: Option<u32>,
    /// Milliseconds a call may last, without host calls.
    pub wall_ms: Option<u32>,
    /// MiB of linear memory and tables.
    pub memory_mib: Option<u32>,
    /// Host calls that can be refused.
    pub host_calls: Option<u32>,
    /// KiB one call may carry to the host.
    pub hostcall_fuel_kib: Option<u32>,
    /// Handles held at one time.
    pub handles: Option<u32>,
    /// KiB of log lines.
    pub log_kib: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_gets_what_it_asks_for_up_to_the_operators_maximum() {
        let asked = LimitRequest { cpu_ms: Some(5), memory_mib: Some(4000), ..LimitRequest::default() };
        let granted = Limits::of(Kind::Rank).granted(&asked, &Limits::maximum());
        assert_eq!(granted.cpu, Duration::from_millis(5));
        assert_eq!(granted.memory_bytes, Limits::maximum().memory_bytes);
        assert_eq!(granted.wall, Limits::of(Kind::Rank).wall);
    }
}
