//! What the ffmpeg process may do: use so much of the machine and no more, read one file, talk to nobody.
//!
//! Three fences, each useful without the others: resource limits (`setrlimit`), landlock (files and TCP; as far as the
//! kernel knows it) and seccomp (no sockets, no processes, no looking into others).

use std::{io, path::Path, sync::Once, time::Duration};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use tokio::process::Command;

/// The newest landlock rules asked for; an older kernel applies those it knows.
const LANDLOCK: ABI = ABI::V6;

/// Where a dynamically linked ffmpeg finds its libraries; missing places are skipped.
const LIBRARIES: [&str; 9] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/etc/ld.so.cache",
    "/sys/devices/system/cpu",
    "/dev/null",
];

/// How much of the machine one process may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// Processor time over all threads.
    pub(crate) cpu: Duration,
    /// Address space, bytes.
    pub(crate) memory_bytes: u64,
}

/// Confines a command that is about to start: it may read `binary` and `input`.
pub(crate) fn confine(
    command: &mut Command,
    binary: &Path,
    input: &Path,
    allowance: Allowance,
) -> io::Result<()> {
    let mut files = Some(files(binary, input).map_err(io::Error::other)?);
    let filters = system_calls().map_err(io::Error::other)?;
    // SAFETY: between fork and exec the closure makes system calls on values that were prepared before; it takes no
    // lock and, unless a call fails, allocates nothing.
    unsafe {
        command.pre_exec(move || {
            limit(allowance)?;
            if let Some(files) = files.take() {
                files.restrict_self().map_err(|_| io::Error::from_raw_os_error(libc::EPERM))?;
            }
            filters.iter().try_for_each(|filter| {
                seccompiler::apply_filter(filter).map_err(|_| io::Error::from_raw_os_error(libc::EPERM))
            })
        });
    }
    Ok(())
}

/// There is no limit of processes here: it counts those of the whole user, the host's own threads among them. Seccomp
/// forbids new processes instead.
fn limit(allowance: Allowance) -> io::Result<()> {
    let set = |resource, value| setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
    // No gap between the soft limit and the hard one: ffmpeg takes the soft one's signal for a wish to end in good order.
    set(Resource::Cpu, allowance.cpu.as_secs().max(1))?;
    set(Resource::As, allowance.memory_bytes)?;
    set(Resource::Fsize, 0)?;
    set(Resource::Core, 0)?;
    set(Resource::Nofile, 64)?;
    Ok(())
}

fn files(binary: &Path, input: &Path) -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules([binary], AccessFs::Execute | AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(LIBRARIES, AccessFs::from_read(LANDLOCK)))?
        .add_rules(path_beneath_rules([input], AccessFs::ReadFile))
}

/// Says once in the log when the kernel cannot keep ffmpeg away from other files.
pub(crate) fn report_support() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| match landlock_supported() {
        true => tracing::debug!("ffmpeg is confined by landlock and seccomp"),
        false => tracing::warn!("no landlock in this kernel: ffmpeg can read what this process can read"),
    });
}

/// Whether the kernel keeps a process to the files it was given.
pub(crate) fn landlock_supported() -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .is_ok()
}

/// Two filters, because they answer differently: "not permitted", and "no such call" to `clone3`, whose arguments a
/// filter cannot see; the C library then uses `clone`, which may make threads only.
fn system_calls() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let no_thread = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(thread), 0)?;
    let mut forbidden: Vec<(i64, Vec<SeccompRule>)> = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_io_uring_setup,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        // A process that leaves its group would outlive the deadline.
        libc::SYS_setsid,
        libc::SYS_setpgid,
    ]
    .into_iter()
    .map(|call| (call, vec![]))
    .collect();
    forbidden.push((libc::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]));
    #[cfg(target_arch = "x86_64")]
    forbidden.extend([(libc::SYS_fork, vec![]), (libc::SYS_vfork, vec![])]);
    Ok([compiled(forbidden, libc::EPERM)?, compiled(vec![(libc::SYS_clone3, vec![])], libc::ENOSYS)?])
}

fn compiled(
    calls: Vec<(i64, Vec<SeccompRule>)>,
    answer: i32,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let answer = SeccompAction::Errno(answer.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(calls.into_iter().collect(), SeccompAction::Allow, answer, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_confined_process_cannot_start_another() {
        let script = "/bin/true; echo survived";
        let free = shell(script).output().await.unwrap();
        assert_eq!(free.stdout, b"survived\n");
        let mut confined = shell(script);
        let allowance = Allowance { cpu: Duration::from_secs(9), memory_bytes: 1 << 30 };
        confine(&mut confined, Path::new("/bin/sh"), Path::new("/dev/null"), allowance).unwrap();
        let confined = confined.output().await.unwrap();
        assert!(String::from_utf8_lossy(&confined.stderr).contains("fork"), "{confined:?}");
    }

    #[tokio::test]
    async fn a_confined_process_cannot_write_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("written");
        let mut confined = shell(&format!("echo x > {}", file.display()));
        let allowance = Allowance { cpu: Duration::from_secs(9), memory_bytes: 1 << 30 };
        confine(&mut confined, Path::new("/bin/sh"), Path::new("/dev/null"), allowance).unwrap();
        assert!(!confined.output().await.unwrap().status.success());
        // Without landlock the file may be made, but the size limit keeps it empty.
        assert_eq!(std::fs::read(&file).unwrap_or_default(), b"");
    }
}
