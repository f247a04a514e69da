//! The one engine of a sandbox: how guests are compiled, and where their memory comes from.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy, WasmFeatures,
};

use crate::config::{PagemapScan, SandboxConfig};

/// Stack of a guest, bytes.
const WASM_STACK_BYTES: usize = 256 << 10;
/// Stack a call runs on, guest and host functions together, bytes.
const CALL_STACK_BYTES: usize = 2 << 20;
/// Places beyond the calls that may run: slots that are still being reset.
const SPARE_PLACES: u32 = 2;
/// Core modules of one component; an interpreter's is made of a few dozen.
const CORE_INSTANCES: u32 = 40;
/// Linear memories of one component.
const MEMORIES: u32 = 3;
/// Tables of one component.
const TABLES: u32 = 20;

/// Builds the engine that guests run on.
pub(crate) fn build(config: &SandboxConfig) -> wasmtime::Result<Engine> {
    let mut settings = settings();
    settings.consume_fuel(config.count_fuel);
    Engine::new(settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config))))
}

/// An engine that makes the same code and runs nothing: without the pool, whose reservations take more address space
/// than a process may have that only compiles.
pub(crate) fn for_compiling() -> wasmtime::Result<Engine> {
    Engine::new(settings().allocation_strategy(InstanceAllocationStrategy::OnDemand))
}

/// All that decides how guests are compiled.
fn settings() -> Config {
    let mut engine = Config::new();
    engine
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(CALL_STACK_BYTES)
        .wasm_component_model(true)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_features(WasmFeatures::THREADS, false)
        .relaxed_simd_deterministic(true);
    engine
}

fn pool(config: &SandboxConfig) -> PoolingAllocationConfig {
    let places = config.concurrency + SPARE_PLACES;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(places * CORE_INSTANCES)
        .total_memories(places * MEMORIES)
        .total_tables(places * TABLES)
        .total_stacks(places)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(config.maximum.or_more(&config.tenant_maximum).memory_bytes)
        .linear_memory_keep_resident(config.keep_resident_bytes)
        .table_keep_resident(config.keep_resident_bytes.min(64 << 10))
        .pagemap_scan(page_map_scan(config.pagemap_scan));
    pool
}

/// Page-map scanning resets an instance's memory several times faster, but overlooks dirty pages that were swapped
/// out: one guest would see what another left behind. So only where nothing is ever swapped out.
fn page_map_scan(wanted: PagemapScan) -> Enabled {
    if wanted == PagemapScan::Off {
        return Enabled::No;
    }
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    match why_not(&read("/proc/swaps"), &read("/proc/sys/kernel/osrelease")) {
        None => {
            tracing::info!("guest memory is reset by page-map scanning");
            Enabled::Auto
        }
        Some(reason) => {
            tracing::info!(reason, "guest memory is reset without page-map scanning");
            Enabled::No
        }
    }
}

/// Why page-map scanning is not safe here. `swaps` has one line of headings and one line for each swap area.
fn why_not(swaps: &str, kernel: &str) -> Option<&'static str> {
    let mut numbers =
        kernel.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match swaps.lines().count() {
        0 => Some("whether there is swap cannot be told"),
        1 if version >= (6, 7) => None,
        1 => Some("the kernel is older than 6.7"),
        _ => Some("there is swap"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_SWAP: &str = "Filename\tType\tSize\tUsed\tPriority\n";

    #[rstest::rstest]
    #[case(NO_SWAP, "6.7.0-generic", true)]
    #[case(NO_SWAP, "10.1", true)]
    #[case(NO_SWAP, "6.6.99", false)]
    #[case("Filename\tType\n/swapfile\tfile\n", "6.12.0", false)]
    #[case("", "6.12.0", false)]
    #[case(NO_SWAP, "", false)]
    fn page_map_scanning_needs_a_new_kernel_and_no_swap(
        #[case] swaps: &str,
        #[case] kernel: &str,
        #[case] safe: bool,
    ) {
        assert_eq!(why_not(swaps, kernel).is_none(), safe);
    }
}
