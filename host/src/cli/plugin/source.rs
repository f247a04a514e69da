//! Where a component comes from: a file, or a registry.

use std::path::PathBuf;

use super::{
    files,
    oci::{self, Reference},
};

/// A component that somebody else made.
#[derive(Debug, Clone)]
pub enum Source {
    File(PathBuf),
    Registry(Reference),
}

impl Source {
    /// Tells a registry by how its references begin.
    pub fn of(path: PathBuf) -> Result<Self, String> {
        match path.to_str().filter(|text| text.starts_with(oci::SCHEME)) {
            Some(text) => Ok(Self::Registry(text.parse()?)),
            None => Ok(Self::File(path)),
        }
    }

    /// The component and the signature over it: the one in this file, or else the one that the component came with.
    pub async fn read(&self, signature: Option<PathBuf>) -> anyhow::Result<(Vec<u8>, Option<String>)> {
        match self {
            Self::File(path) => Ok((files::read(path)?, files::signature_over(path, signature)?)),
            Self::Registry(reference) => {
                let named = signature.map(|path| files::signature_in(&path)).transpose()?;
                let fetched = oci::pull(reference).await?;
                eprintln!("fetched {}", reference.at(fetched.manifest));
                let carried = fetched.signature.map(|signature| signature.to_string());
                Ok((fetched.component, named.or(carried)))
            }
        }
    }
}
