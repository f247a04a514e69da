//! What a call leaves in the metrics, as Prometheus would read them.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use taja_catalog::{ImageHash, PluginDigest, policy::PolicyFault};

use crate::{
    fakes::{World, image, text, video},
    guests::{House, plugin},
    rank::candidates,
};

/// What the metrics say.
struct Metrics(String);

impl Metrics {
    /// The value of the one line that begins so and has all of these labels.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |line: &&str| {
            let labelled = |(label, value): &(&str, &str)| line.contains(&format!("{label}=\"{value}\""));
            line.starts_with(&format!("{name}{{")) && labels.iter().all(labelled)
        };
        let lines: Vec<_> = self.0.lines().filter(has).collect();
        let [line] = lines[..] else {
            panic!("not one line of {name} with {labels:?}: {lines:?}\n{}", self.0)
        };
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a line ends with its value")
    }
}

#[tokio::test]
async fn every_measure_of_a_call_is_exported_with_plugin_digest_and_tenant_and_a_value_that_can_be_true() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let wait = Duration::from_millis(40);
    let world =
        World::slow(wait).with("shop", "red", [255, 0, 0], 10.0).with("shop", "blue", [0, 0, 255], 9.0);
    let lines = "accepts = [\"image\", \"video\", \"text\"]\n[limits]\ncpu_ms = 8000\nwall_ms = 30000";
    let component = plugin("search", "search", lines);
    let mut house = House::empty().with("s.wasm", &component).told("search", "once-each");
    house.config.concurrency = 1;
    let sandbox = house.ready(&world).await;
    let context = world.context("shop", "");
    // The second one waits for the place of the first, and that for the model.
    let search = || sandbox.search(&context, vec![image([255, 0, 0]), video()], 5);
    let (one, other) = tokio::join!(search(), search());
    for answer in [one, other] {
        assert!(matches!(answer.unwrap_err().fault, PolicyFault::Guest(_)));
    }

    let metrics = Metrics(recorder.handle().render());
    let digest = PluginDigest::of(&component).to_string();
    let labels = [
        ("plugin", "search"),
        ("kind", "search"),
        ("digest", &*digest),
        ("tenant", "shop"),
        ("part", "live"),
    ];
    let calls = |outcome: &'static str| {
        let labels = [&labels[..], &[("outcome", outcome)]].concat();
        metrics.value("taja_plugin_calls_total", &labels)
    };
    assert_eq!(calls("guest_error"), 2.0);
    assert!(
        !metrics.0.contains("outcome=\"ok\"") && !metrics.0.contains("outcome=\"trap\""),
        "{}",
        metrics.0
    );
    let sum = |name: &str| {
        assert_eq!(metrics.value(&format!("{name}_count"), &labels), 2.0, "{name}");
        metrics.value(&format!("{name}_sum"), &labels)
    };
    let (total, cpu) = (sum("taja_plugin_call_seconds"), sum("taja_plugin_cpu_seconds"));
    assert!(total >= 2.0 * wait.as_secs_f64() && total < 60.0, "{total}");
    // The model's time is not the guest's.
    assert!(cpu > 0.0 && cpu < total - 1.9 * wait.as_secs_f64(), "{cpu} of {total}");
    let instantiation = sum("taja_plugin_instantiation_seconds");
    assert!(instantiation > 0.0 && instantiation < total, "{instantiation} of {total}");
    let queued = sum("taja_plugin_queue_wait_seconds");
    assert!(queued >= 0.9 * wait.as_secs_f64() && queued < total, "{queued} of {total}");
    let memory = sum("taja_plugin_peak_memory_bytes");
    assert!(memory >= 2.0 * 65536.0 && memory <= 2.0 * f64::from(64 << 20), "{memory}");
    assert_eq!(sum("taja_plugin_host_calls"), 2.0 * 18.0);
    assert_eq!(sum("taja_plugin_host_bytes"), 2.0 * once_each_bytes() as f64);
}

/// What the host calls of the fixture carry, one after the other.
fn once_each_bytes() -> usize {
    let (hash, product) = (ImageHash::of(b"").to_string().len(), "red".len());
    let given = 2 * 2 * 3 // pixels
        + 3 * size_of::<f32>() // read, of three dimensions
        + (product + hash) // image-by-hash
        + 2 * 4 * size_of::<u32>() // columns, of two rows
        + (product + hash); // identify
    let taken = "ab".len() + "c".len() // texts
        + 3 * size_of::<f32>() // blend
        + "{\"price\":{\"gte\":0}}".len() // nearest
        + "red".len() // keyword
        + hash // image-by-hash
        + size_of::<u32>() + size_of::<f32>() // select
        + 2 * size_of::<f32>(); // fuse
    given + taken
}

#[tokio::test]
async fn a_call_that_finds_no_place_and_one_that_is_left_are_counted_too() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = World::slow(Duration::from_secs(3600));
    let component = plugin("search", "search", "accepts = [\"text\"]");
    let mut house = House::empty().with("s.wasm", &component).with("r.wasm", &plugin("rank", "rank", ""));
    house.config.concurrency = 1;
    house.config.queue_wait = Duration::from_millis(10);
    let sandbox = house.ready(&world).await;
    let context = world.context("shop", "");
    let mut held = Box::pin(sandbox.search(&context, vec![text("a")], 5));
    assert!(futures::poll!(&mut held).is_pending());
    assert!(sandbox.rank(&context, candidates(10)).await.is_err());
    drop(held);
    let metrics = Metrics(recorder.handle().render());
    let calls = |plugin: &str, outcome: &str| {
        metrics
            .value("taja_plugin_calls_total", &[("plugin", plugin), ("tenant", "shop"), ("outcome", outcome)])
    };
    assert_eq!((calls("rank", "busy"), calls("search", "cancelled")), (1.0, 1.0));
}
