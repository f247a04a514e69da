//! How a session is told what computes it.

use ort::{
    ep::{self, ExecutionProvider},
    session::builder::{GraphOptimizationLevel, SessionBuilder},
};

use crate::compute::{Backend, Precision, Provider};

/// Asks for integer products that do not overflow. On x86-64 without VNNI the fast ones do, in 16 bits, and an int8 tower
/// gives nonsense (cosine 0.3 to its own reference); where nothing overflows this changes nothing
/// (`kOrtSessionOptionsAvx2PrecisionMode` of ONNX Runtime).
const EXACT_INTEGERS: &str = "session.x64quantprecision";

/// Whether the loaded library was built with it. It may still lack a device.
pub(crate) fn is_built_in(provider: Provider) -> bool {
    let available = match provider {
        Provider::Cpu => return true,
        Provider::OpenVino => ep::OpenVINO::is_available(),
        Provider::Cuda => ep::CUDA::is_available(),
        Provider::TensorRt => ep::TensorRT::is_available(),
    };
    available.unwrap_or(false)
}

/// Whether it takes tensors from a mapped file. The others copy them to their device anyway.
pub(crate) fn maps_tensors(provider: Provider) -> bool {
    matches!(provider, Provider::Cpu | Provider::OpenVino)
}

/// Why a backend cannot compute here, as far as can be known without trying.
fn obstacle(backend: Backend) -> Option<String> {
    let (provider, precision) = (backend.provider(), backend.precision());
    if !is_built_in(provider) {
        let there = Provider::ALL.into_iter().filter(|other| is_built_in(*other)).map(Provider::name);
        let there = there.collect::<Vec<_>>().join(" and ");
        return Some(format!(
            "this ONNX Runtime was built without {provider}, it has {there}; name another library or another backend"
        ));
    }
    // OpenVINO would compute in another format and say nothing.
    (provider == Provider::OpenVino && !processor_has(precision)).then(|| {
        format!("this processor has no instructions for {precision}; {provider}/f32 runs everywhere")
    })
}

/// Whether the processor multiplies in this format.
fn processor_has(precision: Precision) -> bool {
    #[cfg(target_arch = "x86_64")]
    let (bf16, f16) = (is_x86_feature_detected!("avx512bf16"), is_x86_feature_detected!("avx512fp16"));
    #[cfg(not(target_arch = "x86_64"))]
    let (bf16, f16) = (false, false);
    match precision {
        Precision::F32 | Precision::Int8 | Precision::Int8Single => true,
        Precision::Bf16 => bf16,
        Precision::F16 => f16,
        Precision::Tf32 => false,
    }
}

/// Sets a session up for a backend. The problem says what is missing.
pub(crate) fn configure(
    builder: SessionBuilder,
    backend: Backend,
    threads: usize,
) -> Result<SessionBuilder, String> {
    let provider = backend.provider();
    if let Some(obstacle) = obstacle(backend) {
        return Err(obstacle);
    }
    let builder =
        builder.with_optimization_level(optimisation(provider)).map_err(|error| error.to_string())?;
    let builder = builder.with_config_entry(EXACT_INTEGERS, "1").map_err(|error| error.to_string())?;
    // A provider that fails is an error here: falling back in silence would serve at a fraction of the speed.
    let providers = dispatches(backend, threads).into_iter();
    let providers: Vec<_> = providers.map(ep::ExecutionProviderDispatch::error_on_failure).collect();
    builder
        .with_execution_providers(providers)
        .map_err(|error| format!("{provider} cannot be used here: {error}"))
}

fn dispatches(backend: Backend, threads: usize) -> Vec<ep::ExecutionProviderDispatch> {
    let precision = backend.precision();
    match backend.provider() {
        Provider::Cpu => Vec::new(),
        Provider::OpenVino => vec![openvino(precision, threads)],
        Provider::Cuda => vec![cuda(precision)],
        Provider::TensorRt => vec![tensorrt(precision), cuda(precision)],
    }
}

/// OpenVINO optimises for itself; what ONNX Runtime fuses before, it does not know.
fn optimisation(provider: Provider) -> GraphOptimizationLevel {
    match provider {
        Provider::OpenVino => GraphOptimizationLevel::Disable,
        _ => GraphOptimizationLevel::All,
    }
}

/// One stream takes all threads for one batch. OpenVINO's threads (TBB) are one pool for all sessions of the process, and
/// those of ONNX Runtime sleep meanwhile. Pinned ones would share cores with whatever else runs there.
fn openvino(precision: Precision, threads: usize) -> ep::ExecutionProviderDispatch {
    use ep::ArbitrarilyConfigurableExecutionProvider;
    let settings = format!(
        r#"{{"CPU":{{"INFERENCE_PRECISION_HINT":"{precision}","INFERENCE_NUM_THREADS":"{threads}","NUM_STREAMS":"1","ENABLE_CPU_PINNING":"NO"}}}}"#
    );
    ep::OpenVINO::default().with_device_type("CPU").with_arbitrary_config("load_config", settings).build()
}

fn cuda(precision: Precision) -> ep::ExecutionProviderDispatch {
    ep::CUDA::default().with_tf32(precision != Precision::F32).build()
}

fn tensorrt(precision: Precision) -> ep::ExecutionProviderDispatch {
    let provider = ep::TensorRT::default().with_layer_norm_fp32_fallback(true);
    let provider = provider.with_fp16(precision == Precision::F16);
    provider.with_bf16(precision == Precision::Bf16).build()
}
