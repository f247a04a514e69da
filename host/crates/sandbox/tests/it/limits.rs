//! What plugins get of the limits that they ask for: no more than whoever brings them may have.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use std::time::Duration;

use taja_catalog::{
    PluginDigest, TenantId,
    plugins::{PluginStore, Slot},
    policy::PolicyFault,
};
use taja_sandbox::{Limits, Order, Step, Upload, WrittenLimits};

use crate::{
    fakes::{World, id},
    guests::{House, Opened, plugin, upload, wanted},
    rank::candidates,
};

const GREEDY: &str = "[limits]\ncpu_ms = 9000\nwall_ms = 110000\nmemory_mib = 200\nhost_calls = 4000\n\
                      hostcall_fuel_kib = 16000\nhandles = 8000\nlog_kib = 200";

/// Brings a component and lets it serve, for a shop or for everybody.
async fn serve(sandbox: &Opened, owner: Option<&TenantId>, component: &[u8], task: &str) {
    let brought = Upload { owner: owner.cloned(), ..upload(component) };
    sandbox.add(brought).await.expect("the component is good");
    told(sandbox, owner, component, task).await;
}

async fn told(sandbox: &Opened, owner: Option<&TenantId>, component: &[u8], task: &str) {
    let step = Step::Activate(wanted(PluginDigest::of(component), task));
    let order = Order {
        tenant: owner.cloned(),
        slot: Slot::Rank,
        step,
        evidence: None,
        reason: String::new(),
        by: "test".into(),
    };
    sandbox.order(&order).await.expect("the step is taken");
}

async fn fault(sandbox: &Opened, world: &World, tenant: &str) -> PolicyFault {
    sandbox.rank(&world.context(tenant, ""), candidates(10)).await.unwrap_err().fault
}

#[tokio::test]
async fn a_greedy_plugin_of_a_shop_gets_what_shops_get_and_the_operators_gets_more() {
    let (world, shop) = (World::new(), id::<TenantId>("shop"));
    let mut house = House::empty();
    house.config.tenant_maximum = Limits {
        cpu: Duration::from_millis(40),
        wall: Duration::from_secs(2),
        memory_bytes: 24 << 20,
        log_bytes: 16 << 10,
        hostcall_fuel_bytes: 32 << 10,
        ..Limits::SHOPS
    };
    house.config.maximum.memory_bytes = 32 << 20;
    let component = plugin("rank", "rank", GREEDY);
    let sandbox = house.open(&world).await;
    serve(&sandbox, Some(&shop), &component, "spin").await;
    // The very same component, so that neither is served by what was loaded for the other.
    serve(&sandbox, None, &component, "bomb").await;

    let limit = Duration::from_millis(40);
    assert_eq!(fault(&sandbox, &world, "shop").await, PolicyFault::Timeout { what: "cpu", limit });
    told(&sandbox, Some(&shop), &component, "sleep").await;
    let limit = Duration::from_secs(2);
    assert_eq!(fault(&sandbox, &world, "shop").await, PolicyFault::Timeout { what: "wall", limit });
    told(&sandbox, Some(&shop), &component, "bomb").await;
    for (tenant, bytes) in [("shop", 24 << 20), ("another", 32 << 20)] {
        let fault = fault(&sandbox, &world, tenant).await.to_string();
        assert!(fault.contains(&format!("memory limit of {bytes} bytes")), "{tenant}: {fault}");
    }
}

#[tokio::test]
async fn what_a_version_gets_is_told_beside_what_it_asks_for() {
    let (world, shop) = (World::new(), id::<TenantId>("shop"));
    let house = House::empty().with("rank.wasm", &plugin("rank", "rank", "[limits]\ncpu_ms = 11000"));
    let sandbox = house.ready(&world).await;
    let component = plugin("rank", "rank", GREEDY);
    serve(&sandbox, Some(&shop), &component, "").await;

    let shops = house.store.versions(Some(&shop)).await.unwrap();
    let allowance = sandbox.allowance(&shops[0]).unwrap();
    assert_eq!((allowance.granted.cpu_ms, allowance.granted.wall_ms), (Some(500), Some(3000)));
    assert_eq!((allowance.granted.memory_mib, allowance.granted.host_calls), (Some(128), Some(256)));
    assert_eq!((allowance.asked.cpu_ms, allowance.asked.memory_mib), (Some(9000), Some(200)));

    let everybodys = house.store.versions(None).await.unwrap();
    let allowance = sandbox.allowance(&everybodys[0]).unwrap();
    assert_eq!((allowance.granted.cpu_ms, allowance.granted.wall_ms), (Some(10_000), Some(250)));
    assert_eq!(allowance.asked, WrittenLimits { cpu_ms: Some(11_000), ..WrittenLimits::default() });
    assert_eq!(sandbox.report()[0].limits, Some(allowance));
}
