//! What a measurement holds for: this processor, this library, this model, these settings.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    compute::{Backend, Choice},
    model::Model,
    provider,
};

/// Everything that what was measured depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    /// What the processor calls itself.
    processor: String,
    /// Its vector and matrix instructions, sorted.
    features: Vec<String>,
    /// NVIDIA's devices.
    gpus: usize,
    threads: usize,
    /// ONNX Runtime's own words on its build, and the backends that it has.
    library: String,
    /// The space's id, which holds the digest of the model's files.
    model: String,
    max_batch: usize,
    choice: String,
}

impl Key {
    pub(super) fn of(model: &Model, choice: Choice, max_batch: usize) -> Self {
        let (processor, features) = processor(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        let built_in = Backend::all().filter(|backend| provider::is_built_in(backend.provider()));
        let built_in: Vec<_> = built_in.map(|backend| backend.to_string()).collect();
        Self {
            processor,
            features,
            gpus: gpus(),
            threads: model.threads,
            library: format!("{} ({})", ort::info(), built_in.join(" ")),
            model: model.space.id.clone(),
            max_batch,
            choice: choice.to_string(),
        }
    }

    /// What was asked for, as it is written.
    pub(super) fn choice(&self) -> &str {
        &self.choice
    }

    pub(super) fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// The name of its file.
    pub(super) fn file_name(&self) -> String {
        let text = serde_json::to_vec(self).expect("text and numbers become JSON");
        let digest: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("tuning-{digest}.json")
    }
}

/// How instructions that compute many numbers at once begin, on x86-64 and Arm.
const VECTORS: [&str; 7] = ["avx", "amx", "fma", "asimd", "sve", "bf16", "i8mm"];

/// The name and the features that matter, of Linux's description of the processors.
fn processor(cpuinfo: &str) -> (String, Vec<String>) {
    let line = |names: [&str; 2]| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim())
    };
    let matters = |flag: &&str| VECTORS.iter().any(|start| flag.starts_with(start));
    let flags = line(["flags", "Features"]).unwrap_or_default();
    let mut features: Vec<String> = flags.split_whitespace().filter(matters).map(str::to_owned).collect();
    features.sort_unstable();
    let name = line(["model name", "CPU part"]).unwrap_or(std::env::consts::ARCH);
    (name.to_owned(), features)
}

fn gpus() -> usize {
    let Ok(devices) = std::fs::read_dir("/proc/driver/nvidia/gpus") else { return 0 };
    devices.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_known_by_its_name_and_its_vector_instructions() {
        let x86 = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu amx_bf16 sse2 avx512_bf16 avx2\n\nprocessor\t: 1\n";
        let (name, features) = processor(x86);
        assert_eq!(name, "Some CPU @ 2 GHz");
        assert_eq!(features, ["amx_bf16", "avx2", "avx512_bf16"]);
        assert_eq!(processor("").0, std::env::consts::ARCH);
    }
}
