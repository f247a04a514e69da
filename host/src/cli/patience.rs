//! Patience with a server that is away or busy: it may be about to come back.

use std::time::Duration;

use tokio::time::Instant;

use super::client::Refused;

/// How long it may be away.
const PATIENCE: Duration = Duration::from_secs(120);
/// The wait before the second try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest one.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Asks until there is an answer, or patience is over.
pub async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let until = Instant::now() + PATIENCE;
    let mut wait = FIRST_WAIT;
    loop {
        match ask().await {
            Err(error) if passes(&error) && Instant::now() + wait < until => {
                tracing::debug!(error = format!("{error:#}"), "the server is asked again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            answer => return answer,
        }
    }
}

/// Whether what went wrong may go well in a moment.
fn passes(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Refused>() {
        Some(refused) => matches!(refused.status.as_u16(), 429 | 502 | 503 | 504),
        None => error.downcast_ref::<reqwest::Error>().is_some_and(|error| !error.is_builder()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use reqwest::StatusCode;

    use super::*;

    /// Asks a server that answers so to every question but the third.
    async fn asked(status: StatusCode) -> (anyhow::Result<u32>, u32) {
        let times = Cell::new(0);
        let answer = patiently(|| {
            times.set(times.get() + 1);
            std::future::ready(match times.get() {
                3 => Ok(3),
                _ => Err(Refused { status, code: String::new(), detail: "no".into() }.into()),
            })
        });
        (answer.await, times.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_asked_again_and_what_does_not_is_told() {
        assert_eq!(asked(StatusCode::SERVICE_UNAVAILABLE).await.0.unwrap(), 3);
        assert_eq!(asked(StatusCode::TOO_MANY_REQUESTS).await.0.unwrap(), 3);
        let (refused, times) = asked(StatusCode::FORBIDDEN).await;
        assert_eq!((refused.unwrap_err().to_string().as_str(), times), ("no", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_has_an_end() {
        let began = Instant::now();
        let nobody = reqwest::Client::builder().no_proxy().build().unwrap();
        // A port that is bound and not listened on.
        let port = tokio::net::TcpSocket::new_v4().unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", port.local_addr().unwrap());
        let answer = patiently(|| async { Ok(nobody.get(&url).send().await?.status()) }).await;
        assert!(answer.unwrap_err().is::<reqwest::Error>());
        assert!(began.elapsed() > PATIENCE - LONGEST_WAIT, "{:?}", began.elapsed());
    }
}
