//! What ffmpeg says on stderr, read line by line and never kept whole: a damaged file can make it say megabytes.

use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longer lines are cut; only metadata and dumps of side data are that long.
const MAX_LINE: usize = 2_048;
/// More times than frames that can be asked for.
const MAX_TIMES: usize = 1_000;
/// Longest complaint that is passed on, in characters.
const MAX_COMPLAINT: usize = 200;

/// What is worth remembering of ffmpeg's words.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Times of the frames that passed the `showinfo` filter, in seconds and in order.
    pub(crate) times: Vec<f64>,
    first_error: Option<String>,
}

impl Log {
    /// The first error, which is the most exact one: those after it follow from it.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// Lines look like `[name @ 0x12] [info] words` with `-loglevel level+info`.
    fn take(&mut self, line: &str, input: &str) {
        if let Some((from, words)) = line.split_once(" [info] ")
            && from.starts_with("[Parsed_showinfo")
            && let Some(time) = time(words)
            && self.times.len() < MAX_TIMES
        {
            self.times.push(time);
        } else if self.first_error.is_none()
            && let Some((_, words)) = line.split_once("[error] ").or_else(|| line.split_once("[fatal] "))
        {
            let words = words.replace(input, "the video");
            let plain = words.chars().filter(|c| !c.is_control()).take(MAX_COMPLAINT).collect::<String>();
            self.first_error = Some(plain.trim_end_matches('.').to_owned());
        }
    }
}

/// The time in `n:   0 pts:  512 pts_time:0.04 duration: ..`.
fn time(words: &str) -> Option<f64> {
    let rest = words.strip_prefix("n:")?;
    let (_, rest) = rest.split_once(" pts_time:")?;
    rest.split_whitespace().next()?.parse().ok().filter(|time: &f64| time.is_finite())
}

/// Reads to the end. An error ends it too: the exit status will tell.
pub(crate) async fn read(mut stderr: impl AsyncRead + Unpin, input: &Path) -> Log {
    let input = format!("file:{}", input.display());
    let mut log = Log::default();
    let mut line = Vec::new();
    let mut chunk = [0; 4_096];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        for byte in &chunk[..count] {
            if *byte == b'\n' {
                log.take(&String::from_utf8_lossy(&line), &input);
                line.clear();
            } else if line.len() < MAX_LINE {
                line.push(*byte);
            }
        }
    }
    log.take(&String::from_utf8_lossy(&line), &input);
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn logged(text: &str) -> Log {
        read(text.as_bytes(), Path::new("/data/x.mp4")).await
    }

    #[tokio::test]
    async fn times_are_taken_from_the_filter_and_from_nothing_else() {
        let log = logged(
            "[info]     title : n: 0 pts:1 pts_time:99 x\n\
             [Parsed_showinfo_3 @ 0x1] [info] config in time_base: 1/12800, frame_rate: 25/1\n\
             [Parsed_showinfo_3 @ 0x1] [info] n:   0 pts:      0 pts_time:0       duration:512\n\
             [Parsed_showinfo_3 @ 0x1] [info] n:   1 pts:  12800 pts_time:1.04    duration:512\n\
             [Parsed_showinfo_3 @ 0x1] [info] n:   2 pts:  12800 pts_time:NOPTS   duration:512",
        )
        .await;
        assert_eq!(log.times, [0.0, 1.04]);
    }

    #[tokio::test]
    async fn a_complaint_names_neither_the_file_nor_an_address() {
        let log =
            logged("[in#0 @ 0x55d] [error] Error opening file:/data/x.mp4: bad\u{7}.\n[error] later\n").await;
        assert_eq!(log.complaint(), Some("Error opening the video: bad"));
    }

    #[tokio::test]
    async fn a_line_without_end_takes_no_memory_to_speak_of() {
        let log = logged(&format!("[error] {}", "x".repeat(1 << 20))).await;
        assert_eq!(log.complaint().unwrap().len(), MAX_COMPLAINT);
    }
}
