//! Compiled plugins on disk. Loading machine code means running it, so only what this host wrote is ever loaded:
//! every file carries an authentication code whose key lies beside it, readable by this host alone.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// Name of the file that holds the key.
const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
/// Told apart from any other use of the key.
const PURPOSE: &[u8] = b"taja compiled plugin 1";

/// The folder of compiled plugins.
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    /// Opens the folder, making it and its key where they are missing.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned(), key: key(folder)? })
    }

    /// The compiled component with this digest, if this host compiled it with this very engine.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let bytes = fs::read(self.path(engine, digest)).ok()?;
        let (tag, code) = bytes.split_at_checked(TAG_BYTES)?;
        if self.mac(engine, digest, code).verify_slice(tag).is_err() {
            tracing::warn!(
                plugin.digest = digest,
                "a compiled plugin in the cache is not ours: compiling anew"
            );
            return None;
        }
        // SAFETY: the code was written by `store` below from a component this host compiled: its authentication
        // code, which nobody without the key can make, covers it together with the engine it was compiled for.
        match unsafe { Component::deserialize(engine, code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(plugin.digest = digest, %error, "a compiled plugin cannot be loaded: compiling anew");
                None
            }
        }
    }

    /// Keeps a compiled component. A file that is there already is replaced at once, never half.
    pub(crate) fn store(&self, engine: &Engine, digest: &str, component: &Component) -> io::Result<()> {
        let code = component.serialize().map_err(io::Error::other)?;
        let tag = self.mac(engine, digest, &code).finalize().into_bytes();
        let temporary = self.folder.join(format!("{digest}.{}.new", std::process::id()));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&tag)?;
        file.write_all(&code)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path(engine, digest))
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let engine = engine_hash(engine).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        self.folder.join(format!("{digest}-{engine}.cwasm"))
    }

    fn mac(&self, engine: &Engine, digest: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key).expect("a key of any length will do");
        // The parts before the code are of fixed length, so no two inputs run into each other.
        mac.update(PURPOSE);
        mac.update(&Sha256::digest(digest));
        mac.update(&engine_hash(engine));
        mac.update(code);
        mac
    }
}

/// Everything about the engine that compiled code depends on, in one digest.
fn engine_hash(engine: &Engine) -> [u8; 32] {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0 // never asked for: the whole digest is taken instead
        }
    }
    let mut sha = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sha);
    sha.0.finalize().into()
}

/// The folder's key; a new one when there is none, or when others could have read or written it.
fn key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = folder.join(KEY_FILE);
    if let Some(key) = trusted_key(&path) {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let temporary = folder.join(format!("{KEY_FILE}.{}.new", std::process::id()));
    let _ = fs::remove_file(&temporary);
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&key)?;
    fs::rename(&temporary, &path)?;
    Ok(key)
}

fn trusted_key(path: &Path) -> Option<[u8; KEY_BYTES]> {
    let private = fs::symlink_metadata(path)
        .ok()
        .filter(|meta| meta.is_file() && meta.permissions().mode() & 0o077 == 0);
    private.and_then(|_| fs::read(path).ok()?.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0d";

    fn compiled(engine: &Engine) -> Component {
        Component::new(engine, wat::parse_str("(component (core module (func)))").unwrap()).unwrap()
    }

    fn only_file(folder: &Path) -> PathBuf {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| path.extension().is_some_and(|e| e == "cwasm")).unwrap()
    }

    #[test]
    fn what_was_stored_is_loaded_by_the_next_process_too() {
        let (engine, folder) = (Engine::default(), tempfile::tempdir().unwrap());
        Cache::open(folder.path()).unwrap().store(&engine, DIGEST, &compiled(&engine)).unwrap();
        assert!(Cache::open(folder.path()).unwrap().load(&engine, DIGEST).is_some());
    }

    #[test]
    fn one_changed_byte_anywhere_is_noticed() {
        let (engine, folder) = (Engine::default(), tempfile::tempdir().unwrap());
        let cache = Cache::open(folder.path()).unwrap();
        cache.store(&engine, DIGEST, &compiled(&engine)).unwrap();
        let path = only_file(folder.path());
        let whole = fs::read(&path).unwrap();
        for place in [0, TAG_BYTES - 1, TAG_BYTES, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(cache.load(&engine, DIGEST).is_none(), "byte {place}");
        }
        fs::write(&path, &whole[..20]).unwrap();
        assert!(cache.load(&engine, DIGEST).is_none());
        fs::write(&path, whole).unwrap();
        assert!(cache.load(&engine, DIGEST).is_some());
    }

    #[test]
    fn code_of_one_plugin_does_not_pass_for_another() {
        let (engine, folder) = (Engine::default(), tempfile::tempdir().unwrap());
        let cache = Cache::open(folder.path()).unwrap();
        cache.store(&engine, DIGEST, &compiled(&engine)).unwrap();
        fs::copy(only_file(folder.path()), cache.path(&engine, "0e")).unwrap();
        assert!(cache.load(&engine, "0e").is_none());
    }

    #[test]
    fn a_key_that_others_could_read_is_replaced() {
        let (engine, folder) = (Engine::default(), tempfile::tempdir().unwrap());
        Cache::open(folder.path()).unwrap().store(&engine, DIGEST, &compiled(&engine)).unwrap();
        let key = folder.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Cache::open(folder.path()).unwrap().load(&engine, DIGEST).is_none());
    }
}
