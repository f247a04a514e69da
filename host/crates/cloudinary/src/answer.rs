//! What Cloudinary answers: a status, headers and a bounded body, made into a value or an error.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};

use crate::CloudinaryError;

/// The most of a body that is read; true answers have some hundred bytes.
const BODY_LIMIT_BYTES: usize = 64 << 10;
/// The most of a picture that is read; more than any that is uploaded by us.
const PICTURE_LIMIT_BYTES: usize = 64 << 20;
/// The most of Cloudinary's own words that an error carries.
const MESSAGE_LIMIT_CHARS: usize = 300;
/// "Enhance Your Calm": how Cloudinary limits rates, beside 429.
const CALM: u16 = 420;

/// The value that an answer holds, or the error it stands for.
pub(crate) async fn read<T: DeserializeOwned>(response: Response) -> Result<T, CloudinaryError> {
    let status = response.status();
    if !status.is_success() {
        return Err(failure(response).await);
    }
    let body = body(response, BODY_LIMIT_BYTES).await?;
    serde_json::from_slice(&body).map_err(|error| CloudinaryError::Broken {
        reason: format!("{} bytes that are not what was expected", body.len()),
        source: Some(Box::new(error)),
    })
}

/// The bytes of a delivered picture; none when there is none.
pub(crate) async fn picture(response: Response) -> Result<Option<Bytes>, CloudinaryError> {
    match response.status() {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => Ok(Some(body(response, PICTURE_LIMIT_BYTES).await?.into())),
        _ => Err(failure(response).await),
    }
}

async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, CloudinaryError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(CloudinaryError::broken(format!("it has more than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn failure(response: Response) -> CloudinaryError {
    let status = response.status();
    let retry_at = retry_at(status, response.headers(), Timestamp::now());
    let message = message(status, &body(response, BODY_LIMIT_BYTES).await.unwrap_or_default());
    let code = status.as_u16();
    match code {
        401 | 403 => CloudinaryError::Refused { status: code, message },
        408 | CALM | 429 | 500.. => {
            CloudinaryError::Unavailable { reason: format!("{code}: {message}"), retry_at, source: None }
        }
        400..500 => CloudinaryError::Invalid { status: code, message },
        _ => CloudinaryError::broken(format!("its status is {code}")),
    }
}

/// What Cloudinary says about a failure; the status's name where it says nothing that can be read.
fn message(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Failure {
        error: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    match serde_json::from_slice::<Failure>(body) {
        Ok(failure) => failure.error.message.chars().take(MESSAGE_LIMIT_CHARS).collect(),
        Err(_) => status.canonical_reason().unwrap_or("no message").into(),
    }
}

/// The moment from which requests are taken again: `Retry-After` in seconds or as a date, or the end of a rate limit.
fn retry_at(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = |name| headers.get(name)?.to_str().ok();
    let limited = matches!(status.as_u16(), CALM | 429);
    let after = text("retry-after").and_then(|value| match value.parse::<u32>() {
        Ok(seconds) => now.checked_add(SignedDuration::from_secs(seconds.into())).ok(),
        Err(_) => date(value),
    });
    // The rate limit's headers come with other answers, too, where they say nothing about this one.
    after.or_else(|| text("x-featureratelimit-reset").filter(|_| limited).and_then(date))
}

fn date(value: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(value).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::seconds(429, &[("retry-after", "7")], Some(7))]
    #[case::date(503, &[("retry-after", "Thu, 01 Jan 1970 00:01:00 GMT")], Some(60))]
    #[case::reset(420, &[("x-featureratelimit-reset", "Thu, 01 Jan 1970 01:00:00 GMT")], Some(3600))]
    #[case::the_nearer_word(420, &[("retry-after", "7"), ("x-featureratelimit-reset", "Thu, 01 Jan 1970 01:00:00 GMT")], Some(7))]
    #[case::no_limit(500, &[("x-featureratelimit-reset", "Thu, 01 Jan 1970 01:00:00 GMT")], None)]
    #[case::garbage(429, &[("retry-after", "soon"), ("x-featureratelimit-reset", "-1")], None)]
    #[case::nothing(429, &[], None)]
    fn the_moment_to_come_back_is_read(
        #[case] status: u16,
        #[case] headers: &[(&'static str, &str)],
        #[case] seconds: Option<i64>,
    ) {
        let headers = headers
            .iter()
            .map(|&(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        let at = retry_at(status, &headers.collect(), Timestamp::UNIX_EPOCH);
        assert_eq!(at.map(Timestamp::as_second), seconds);
    }

    #[rstest]
    #[case::told(r#"{"error":{"message":"Invalid image file"}}"#, "Invalid image file")]
    #[case::a_page("<html>502</html>", "Bad Request")]
    #[case::nothing("", "Bad Request")]
    fn a_failure_says_what_cloudinary_said(#[case] body: &str, #[case] says: &str) {
        assert_eq!(message(StatusCode::BAD_REQUEST, body.as_bytes()), says);
    }

    #[test]
    fn a_long_message_is_cut() {
        let body = serde_json::json!({ "error": { "message": "ü".repeat(10_000) } }).to_string();
        assert_eq!(message(StatusCode::BAD_REQUEST, body.as_bytes()).chars().count(), MESSAGE_LIMIT_CHARS);
    }
}
