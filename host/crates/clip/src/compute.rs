//! What computes a tower, and how exactly: the names of configuration, and which of them go together.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

/// A part of ONNX Runtime that runs graphs on one kind of hardware (an "execution provider").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// ONNX Runtime's own kernels, on any processor.
    Cpu,
    /// Intel's OpenVINO on x86-64 processors of any maker.
    OpenVino,
    /// NVIDIA's CUDA and cuDNN.
    Cuda,
    /// NVIDIA's TensorRT; what it cannot take runs on CUDA.
    TensorRt,
}

/// The number format of matrix products. Sums are kept in 32 bits or more everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats, or the integers that the model's own files are quantised to.
    F32,
    /// Floats of 10 fraction bits and the range of 32-bit ones, in the registers of NVIDIA's matrix units.
    Tf32,
    /// Floats of 7 fraction bits and the range of 32-bit ones.
    Bf16,
    /// Floats of 10 fraction bits up to 65,504.
    F16,
    /// 8-bit integers, scaled for each column of a weight and for each item that it is multiplied with.
    Int8,
    /// The same for one item at a time, in fewer steps.
    Int8Single,
}

impl Provider {
    /// All there are, in the order they are tried.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::OpenVino, Self::Cuda, Self::TensorRt];

    /// The formats it computes in, the most exact first.
    pub fn precisions(self) -> &'static [Precision] {
        match self {
            Self::Cpu => &[Precision::F32, Precision::Int8, Precision::Int8Single],
            Self::OpenVino => &[Precision::F32, Precision::Bf16, Precision::F16],
            Self::Cuda => &[Precision::F32, Precision::Tf32],
            Self::TensorRt => &[Precision::F32, Precision::Bf16, Precision::F16],
        }
    }

    /// Its name in configuration, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
        }
    }
}

impl Precision {
    /// Its name in configuration, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Int8Single => "int8-single",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A provider and a format it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Backend {
    provider: Provider,
    precision: Precision,
}

impl Backend {
    /// What every machine has, and what all others are held against.
    pub const REFERENCE: Self = Self { provider: Provider::Cpu, precision: Precision::F32 };

    /// None where the provider does not compute in that format.
    pub fn new(provider: Provider, precision: Precision) -> Option<Self> {
        provider.precisions().contains(&precision).then_some(Self { provider, precision })
    }

    /// All there are, the reference first.
    pub fn all() -> impl Iterator<Item = Self> {
        Provider::ALL.into_iter().flat_map(|provider| {
            provider.precisions().iter().map(move |&precision| Self { provider, precision })
        })
    }

    /// What computes.
    pub fn provider(self) -> Provider {
        self.provider
    }

    /// In which format.
    pub fn precision(self) -> Precision {
        self.precision
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.precision)
    }
}

impl From<Backend> for String {
    fn from(backend: Backend) -> Self {
        backend.to_string()
    }
}

impl TryFrom<String> for Backend {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Backend {
    type Err = String;

    /// `PROVIDER/PRECISION`, or `PROVIDER` for its most exact format.
    fn from_str(text: &str) -> Result<Self, String> {
        let matches = |backend: &Self| backend.to_string() == text || backend.provider.name() == text;
        Self::all().find(matches).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(|backend| backend.to_string()).collect();
            format!("{text:?} is none of {}", names.join(", "))
        })
    }
}

/// Who decides what computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Whatever is fastest here, measured at the first start.
    Auto,
    /// The operator.
    Fixed(Backend),
}

impl FromStr for Choice {
    type Err = String;

    /// `auto`, or what a [`Backend`] is written as.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            other => other.parse().map(Self::Fixed).map_err(|problem| format!("{problem}, or auto")),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(backend) => backend.fmt(f),
        }
    }
}

/// What is to compute, and where what one start found out is remembered for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compute {
    /// Who decides.
    pub choice: Choice,
    /// A folder for what was measured and for digests of the model's files, made when it is needed. Without one everything
    /// is measured and hashed at every start.
    pub memory: Option<PathBuf>,
}

/// The processor, exactly; nothing is measured.
impl Default for Compute {
    fn default() -> Self {
        Self { choice: Choice::Fixed(Backend::REFERENCE), memory: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for backend in Backend::all() {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        assert_eq!("openvino".parse(), Ok(Choice::Fixed("openvino/f32".parse().unwrap())));
        assert_eq!("auto".parse(), Ok(Choice::Auto));
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        for text in ["", "gpu", "cpu/bf16", "openvino/", "AUTO"] {
            let problem = text.parse::<Choice>().unwrap_err();
            assert!(problem.contains("openvino/bf16") && problem.ends_with("or auto"), "{problem}");
        }
        assert_eq!(Backend::new(Provider::Cpu, Precision::F16), None);
    }
}
