//! Runs ffmpeg as a confined child process with a deadline, and reads what it says while it works.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use taja_catalog::port::MediaError;
use tokio::{
    process::{Child, ChildStdout, Command},
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    confine::{Allowance, confine, report_support},
    log::{self, Log},
};

/// One way to call ffmpeg.
pub(crate) struct Call<'a> {
    /// The file to read, absolute.
    pub(crate) input: &'a Path,
    /// Everything after the flags that every call has.
    pub(crate) arguments: Vec<OsString>,
}

pub(crate) struct Ffmpeg {
    binary: PathBuf,
    allowance: Allowance,
    slots: Semaphore,
}

impl Ffmpeg {
    /// `processes` may run at a time. A binary named without a folder is looked for on `PATH`, now and not later.
    pub(crate) fn new(binary: &Path, processes: usize, allowance: Allowance) -> Self {
        report_support();
        Self { binary: located(binary), allowance, slots: Semaphore::new(processes.max(1)) }
    }

    /// Runs ffmpeg to its end, giving its output to `read` as it comes. Whatever happens, also when the caller leaves,
    /// nothing of it is left running.
    pub(crate) async fn run<T, R: Future<Output = Result<T, MediaError>>>(
        &self,
        call: Call<'_>,
        deadline: Instant,
        read: impl FnOnce(ChildStdout) -> R,
    ) -> Result<(T, Log), MediaError> {
        let work = async {
            let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
            let mut group = Group::start(self.command(&call).map_err(|error| start_failed(&error))?)?;
            let stdout = group.child.stdout.take().expect("stdout is piped");
            let stderr = group.child.stderr.take().expect("stderr is piped");
            let (value, log) =
                tokio::try_join!(read(stdout), async { Ok(log::read(stderr, call.input).await) })?;
            judge(group.finish().await.map_err(|error| start_failed(&error))?, &log)?;
            Ok((value, log))
        };
        timeout_at(deadline, work)
            .await
            .map_err(|_| MediaError::Failed("the video took longer to read than is allowed".into()))?
    }

    fn command(&self, call: &Call<'_>) -> io::Result<Command> {
        let mut command = Command::new(&self.binary);
        command
            .args(["-nostdin", "-hide_banner", "-nostats", "-protocol_whitelist", "file,pipe"])
            .args(&call.arguments)
            .env_clear()
            .env("AV_LOG_FORCE_NOCOLOR", "1")
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        confine(&mut command, &self.binary, call.input, self.allowance)?;
        Ok(command)
    }
}

/// A process and all that it may have started; killed together when dropped before their end.
struct Group {
    child: Child,
    /// None once the leader was waited for: its number may then belong to somebody else.
    leader: Option<Pid>,
}

impl Group {
    fn start(mut command: Command) -> Result<Self, MediaError> {
        let child = command.spawn().map_err(|error| start_failed(&error))?;
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, leader })
    }

    async fn finish(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.leader = None;
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // It fails when the group ended by itself, which is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The host's own failures: blamed on the host, so that a video is not refused for a bad installation.
fn start_failed(error: &io::Error) -> MediaError {
    tracing::error!(%error, "ffmpeg could not be run");
    MediaError::Failed(match error.kind() {
        io::ErrorKind::NotFound => {
            "ffmpeg was not found: run the project's set-up, install ffmpeg, or set TAJA_FFMPEG to its path"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            format!("ffmpeg may not be run, check that it is a program: {error}")
        }
        _ => format!("ffmpeg could not be run: {error}"),
    })
}

fn judge(status: ExitStatus, log: &Log) -> Result<(), MediaError> {
    use std::os::unix::process::ExitStatusExt;
    if status.success() {
        return Ok(());
    }
    Err(MediaError::Corrupt(match status.signal() {
        Some(libc::SIGKILL) => "it takes more computing time than is allowed".into(),
        Some(signal) => format!("the decoder crashed on it (signal {signal})"),
        None => log.complaint().unwrap_or("the decoder gave up on it").to_owned(),
    }))
}

/// Where a program named without a folder lies on `PATH`; the confinement has to name the file itself.
fn located(binary: &Path) -> PathBuf {
    let on_path = || {
        let folders = std::env::var_os("PATH")?;
        std::env::split_paths(&folders).map(|folder| folder.join(binary)).find(|file| file.is_file())
    };
    let found = if binary.components().count() == 1 { on_path() } else { None };
    let file = found.unwrap_or_else(|| binary.to_owned());
    std::fs::canonicalize(&file).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::{confine::landlock_supported, tool};

    const LONG: Duration = Duration::from_secs(30);

    fn ffmpeg() -> Ffmpeg {
        Ffmpeg::new(&tool::ffmpeg(), 2, Allowance { cpu: LONG, memory_bytes: 4 << 30 })
    }

    fn call<'a>(input: &'a Path, arguments: &str) -> Call<'a> {
        Call { input, arguments: arguments.split_whitespace().map(OsString::from).collect() }
    }

    async fn drained(mut stdout: ChildStdout) -> Result<usize, MediaError> {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).await.map_err(|error| MediaError::Failed(error.to_string()))
    }

    /// Writes pictures for ever.
    const ENDLESS: &str = "-f lavfi -i testsrc=size=64x64 -f rawvideo pipe:1";

    #[tokio::test]
    async fn nothing_is_left_running_after_the_deadline() {
        let ffmpeg = ffmpeg();
        let (keep, kept) = tokio::sync::oneshot::channel();
        let endless = async |mut stdout: ChildStdout| {
            stdout.read_u8().await.expect("it writes");
            keep.send(stdout).expect("the test waits");
            std::future::pending().await
        };
        let deadline = Instant::now() + Duration::from_secs(2);
        let result: Result<((), Log), _> = ffmpeg.run(call(Path::new("/"), ENDLESS), deadline, endless).await;
        assert!(matches!(result, Err(MediaError::Failed(_))));
        // The pipe ends only when every process that holds it is gone.
        let end = tokio::time::timeout(LONG, drained(kept.await.expect("it began to write")));
        end.await.expect("the process was killed").unwrap();
    }

    #[tokio::test]
    async fn nothing_is_left_running_when_the_caller_leaves() {
        let ffmpeg = Arc::new(ffmpeg());
        let (keep, kept) = tokio::sync::oneshot::channel();
        let caller = tokio::spawn(async move {
            let endless = async |stdout| {
                keep.send(stdout).expect("the test waits");
                std::future::pending::<Result<(), MediaError>>().await
            };
            ffmpeg.run(call(Path::new("/"), ENDLESS), Instant::now() + LONG, endless).await.map(|_| ())
        });
        let stdout = kept.await.expect("it was started");
        caller.abort();
        let end = tokio::time::timeout(LONG, drained(stdout));
        end.await.expect("the process was killed").unwrap();
    }

    #[tokio::test]
    async fn a_file_other_than_the_input_cannot_be_read() {
        if !landlock_supported() {
            eprintln!("this kernel has no landlock: nothing to test");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (mine, other) = (folder.path().join("mine.bmp"), folder.path().join("other.bmp"));
        let picture = crate::tool::bitmap();
        std::fs::write(&mine, &picture).unwrap();
        std::fs::write(&other, &picture).unwrap();
        let reads = |file: &Path| {
            format!("-loglevel level+error -f bmp_pipe -i file:{} -f rawvideo pipe:1", file.display())
        };
        let run = async |file: &Path| {
            ffmpeg()
                .run(call(&mine, &reads(file)), Instant::now() + LONG, drained)
                .await
                .map(|(size, _)| size)
        };
        assert_eq!(run(&mine).await.unwrap(), 3);
        assert!(run(&other).await.unwrap_err().to_string().contains("Permission denied"));
    }

    #[tokio::test]
    async fn nobody_can_be_talked_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for protocol in ["tcp", "udp", "http"] {
            let arguments = format!(
                "-loglevel level+error -protocol_whitelist tcp,udp,http -f mov -i {protocol}://{address}/x -f null -"
            );
            let answer = ffmpeg().run(call(Path::new("/"), &arguments), Instant::now() + LONG, drained).await;
            let error = answer.map(|(size, _)| size).unwrap_err().to_string();
            assert!(error.contains("not permitted") || error.contains("Input/output"), "{protocol}: {error}");
        }
        let accepted =
            std::future::poll_fn(|context| std::task::Poll::Ready(listener.poll_accept(context).is_ready()));
        assert!(!accepted.await);
    }

    #[tokio::test]
    async fn more_memory_than_allowed_is_not_to_be_had() {
        let allowance = Allowance { cpu: LONG, memory_bytes: 400 << 20 };
        let ffmpeg = Ffmpeg::new(&tool::ffmpeg(), 1, allowance);
        let picture = async |side: u32| {
            let words =
                format!("-loglevel level+error -f lavfi -i testsrc=size={side}x{side} -frames:v 1 -f null -");
            let run = ffmpeg.run(call(Path::new("/"), &words), Instant::now() + LONG, drained).await;
            run.unwrap().1.complaint().map(str::to_owned)
        };
        assert_eq!(picture(100).await, None);
        let complaint = picture(16_000).await.unwrap();
        assert!(complaint.contains("Cannot allocate memory"), "{complaint}");
    }

    #[tokio::test]
    async fn more_computing_time_than_allowed_is_not_to_be_had() {
        let allowance = Allowance { cpu: Duration::from_secs(1), memory_bytes: 4 << 30 };
        let ffmpeg = Ffmpeg::new(&tool::ffmpeg(), 1, allowance);
        let work = "-f lavfi -i testsrc2=size=1280x720 -f null -";
        let error = ffmpeg.run(call(Path::new("/"), work), Instant::now() + LONG, drained).await;
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("computing time"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_ffmpeg_says_what_to_do() {
        let ffmpeg =
            Ffmpeg::new(Path::new("/nowhere/ffmpeg"), 1, Allowance { cpu: LONG, memory_bytes: 1 << 30 });
        let error = ffmpeg.run(call(Path::new("/"), ""), Instant::now() + LONG, drained).await.map(|_| ());
        assert!(matches!(error, Err(MediaError::Failed(text)) if text.contains("TAJA_FFMPEG")));
    }
}
