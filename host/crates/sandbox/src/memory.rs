//! The cap on everything a guest's memories and tables take together.

use wasmtime::ResourceLimiter;

/// Bytes one table entry takes at most.
const TABLE_ENTRY_BYTES: usize = 16;
/// Core instances, memories and tables of one component; interpreters bring a few dozen.
const MAX_PARTS: usize = 100;

/// The guest asked for more memory than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("memory limit of {limit} bytes reached; ask for more with memory_mib under [limits] of plugin.toml")]
pub(crate) struct MemoryUsedUp {
    limit: usize,
}

/// Counts every byte of every linear memory and table of one store.
#[derive(Debug)]
pub(crate) struct MemoryCap {
    limit: usize,
    used: usize,
}

impl MemoryCap {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// Bytes in use. Memories and tables never shrink, so this is the peak as well.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        let after = self.used.saturating_add(desired.saturating_sub(current));
        if after > self.limit {
            // An error, not a refusal: a guest's allocator would only abort without a word.
            return Err(MemoryUsedUp { limit: self.limit }.into());
        }
        self.used = after;
        Ok(true)
    }
}

impl ResourceLimiter for MemoryCap {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current.saturating_mul(TABLE_ENTRY_BYTES), desired.saturating_mul(TABLE_ENTRY_BYTES))
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_is_over_all_memories_and_tables_together() {
        let mut cap = MemoryCap::new(1000);
        assert!(cap.memory_growing(0, 600, None).is_ok());
        assert!(cap.memory_growing(0, 300, None).is_ok());
        assert!(cap.table_growing(0, 10, None).is_err());
        assert_eq!(cap.used(), 900);
    }
}
