//! The bytes of a component, and the digest that names them: taken once, because a large component takes a while.

use bytes::Bytes;
use taja_catalog::PluginDigest;

/// A component as bytes, with their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    bytes: Bytes,
    digest: PluginDigest,
}

impl Binary {
    /// Takes the digest off the threads that serve requests.
    pub async fn taken(bytes: Bytes) -> Self {
        let taken = tokio::task::spawn_blocking({
            let bytes = bytes.clone();
            move || Self::from(bytes)
        });
        // It ends early only with the whole process, and then nobody is kept from anything.
        taken.await.unwrap_or_else(|_| Self::from(bytes))
    }

    /// The component.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What names it.
    pub fn digest(&self) -> PluginDigest {
        self.digest
    }
}

/// On this thread: for what is small, or has a thread of its own.
impl From<Bytes> for Binary {
    fn from(bytes: Bytes) -> Self {
        Self { digest: PluginDigest::of(&bytes), bytes }
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_component_is_not_hashed_by_the_thread_that_asks() {
        let bytes = Bytes::from(vec![7; 32 << 20]);
        let mut taken = std::pin::pin!(Binary::taken(bytes.clone()));
        assert!(futures::poll!(&mut taken).is_pending());
        assert_eq!(taken.await, Binary::from(bytes));
    }
}
