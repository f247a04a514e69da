//! Names for content that is text: markup, playlists, session descriptions. None of it is taken.

/// What text (or what is no text at all) is called.
pub(crate) fn name(head: &[u8]) -> &'static str {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return "text";
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |word: &[u8]| head.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let contains = |word: &[u8]| head.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    if begins(b"#EXTM3U") {
        "playlist (m3u8)"
    } else if begins(b"ffconcat") {
        "playlist (ffconcat)"
    } else if begins(b"v=0\n") || begins(b"v=0\r\n") {
        "playlist (sdp)"
    } else if begins(b"<") {
        markup(contains)
    } else if is_text(head) {
        "text"
    } else {
        "unknown content"
    }
}

fn markup(contains: impl Fn(&[u8]) -> bool) -> &'static str {
    if contains(b"<html") || contains(b"<!doctype html") {
        "HTML"
    } else if contains(b"<svg") || contains(b"<!doctype svg") {
        "SVG"
    } else if contains(b"<mpd") {
        "playlist (mpd)"
    } else if contains(b"<?xml") {
        "XML"
    } else {
        "text"
    }
}

/// Text of any encoding close to ASCII: no control characters but white space.
fn is_text(head: &[u8]) -> bool {
    let sample = &head[..head.len().min(1024)];
    sample.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f || byte.is_ascii_whitespace())
        && sample.iter().filter(|byte| byte.is_ascii()).count() * 2 > sample.len()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"#EXTM3U\n#EXT-X-VERSION:3\nhttp://169.254.169.254/x.ts\n", "playlist (m3u8)")]
    #[case(b"ffconcat version 1.0\nfile /etc/passwd\n", "playlist (ffconcat)")]
    #[case(b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "playlist (sdp)")]
    #[case(b"<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"/>", "playlist (mpd)")]
    #[case(b"\xef\xbb\xbf  <?xml version=\"1.0\"?>\n<!-- x --><svg/>", "SVG")]
    #[case(b"<SVG onload=alert(1)>", "SVG")]
    #[case(b"<!DOCTYPE html><html><svg/></html>", "HTML")]
    #[case(b"file '/etc/passwd'\nfile '/etc/shadow'\n", "text")]
    #[case(b"\xff\xfe<\0s\0v\0g\0", "text")]
    #[case(b"\x00\x01\x02", "unknown content")]
    fn text_is_called_what_it_is(#[case] bytes: &[u8], #[case] expected: &str) {
        assert_eq!(name(bytes), expected);
    }
}
