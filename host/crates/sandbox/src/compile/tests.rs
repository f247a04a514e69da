use std::os::unix::process::ExitStatusExt;

use super::*;
use crate::{SandboxConfig, engine};

#[rstest::rstest]
#[case::invalid(child::INVALID << 8, "type mismatch", "does not compile: type mismatch")]
#[case::unable(child::UNABLE << 8, "limits: no", "the compiler cannot work: limits: no")]
#[case::no_memory(child::NO_MEMORY << 8, "", "takes more than 1024 MiB of memory")]
#[case::aborted(6, "memory allocation of 64 bytes failed", "takes more than 1024 MiB of memory")]
#[case::killed(9, "", "takes more than 1024 MiB of memory")]
#[case::overflow(6, "thread main has overflowed its stack", "compiler crash (signal 6)")]
#[case::fault(11, "", "compiler crash (signal 11)")]
#[case::computing(24, "", "compiles for longer than 30s")]
#[case::panic(101 << 8, "panicked at", "compiler fail (exit status 101)")]
fn every_end_has_its_words(#[case] status: i32, #[case] words: &str, #[case] says: &str) {
    let reason = reason(&Compiler::new("/taja"), ExitStatus::from_raw(status), words);
    assert!(reason.contains(says), "{reason}");
}

#[test]
fn the_engine_of_the_child_makes_code_for_the_engine_that_runs_it() {
    let component = wat::parse_str(
        "(component (core module (memory 1) (func (export \"f\") (param i32) (result i32)
            (i32.load (local.get 0)))))",
    );
    let running = engine::build(&SandboxConfig::new("/nowhere")).unwrap();
    let compiling = engine::for_compiling().unwrap();
    let hash = |engine: &Engine| {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    };
    assert_eq!(hash(&running), hash(&compiling));
    let code = compiling.precompile_component(&component.unwrap()).unwrap();
    // SAFETY: it was compiled by the line above.
    assert!(unsafe { Component::deserialize(&running, &code) }.is_ok());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_the_hosts_fault() {
    let error = compile(&Compiler::new("/nowhere/taja"), b"").await.unwrap_err();
    assert!(error.contains("compiler cannot be started"), "{error}");
}

#[tokio::test]
async fn a_program_that_never_ends_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("sleeper");
    std::fs::write(&script, "#!/bin/sh\nexec sleep 60\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut compiler = Compiler::new(script);
    compiler.time = Duration::from_millis(300);
    let began = std::time::Instant::now();
    let error = compile(&compiler, &vec![0; 1 << 20]).await.unwrap_err();
    assert!(error.contains("compiles for longer than 300ms"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
}
