//! Which server it is, and whether it is set up for a queue.

use std::fmt;

use redis::InfoDict;

use super::link::Link;
use crate::{Error, Result};

/// The oldest version that has every command used here.
const OLDEST: (u32, u32) = (6, 2);

/// A server's name and version.
pub(super) struct Version {
    name: String,
    version: String,
    /// The version of Redis that it is compatible with.
    redis: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

pub(super) async fn version(link: &Link) -> Result<Version> {
    let info: InfoDict = link.command(redis::cmd("INFO").arg("server")).await?;
    let redis: String = info.get("redis_version").unwrap_or_default();
    let name = info.get("server_name").unwrap_or_else(|| "redis".to_owned());
    let version = info.get(&format!("{name}_version")).unwrap_or_else(|| redis.clone());
    Ok(Version { name, version, redis })
}

/// Refuses a server that is too old, and warns of one that may throw jobs away.
pub(super) async fn inspect(link: &Link) -> Result<()> {
    let version = version(link).await?;
    if numbers(&version.redis).is_some_and(|numbers| numbers < OLDEST) {
        let text = format!("{version} is older than redis {}.{}", OLDEST.0, OLDEST.1);
        return Err(Error::storage(std::io::Error::other(text)));
    }
    let memory: InfoDict = link.command(redis::cmd("INFO").arg("memory")).await?;
    // Hosted servers may keep it to themselves.
    let policy: Option<String> = memory.get("maxmemory_policy");
    if let Some(policy) = policy.filter(|policy| policy != "noeviction") {
        tracing::warn!(
            policy,
            "redis may evict parts of jobs when its memory is full: set maxmemory-policy to noeviction"
        );
    }
    Ok(())
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(numbers("6.2.14") >= Some(OLDEST) && numbers("10.0.1") > Some(OLDEST));
        assert!(numbers("6.0.16") < Some(OLDEST));
        assert_eq!(numbers("unknown"), None);
    }
}
