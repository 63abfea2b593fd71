//! The bytes of a request body, bounded in size while they come in and in time.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::BoxError;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt;

use crate::error::Error;

/// The largest body, in bytes, of the routes that take names, passwords and tokens (IN-01).
pub(crate) const MAX_BODY: usize = 16 * 1024;
/// Where a larger body can only hold a token that is too long, so much of it is read, but not kept.
const MAX_DISCARDED: usize = 256 * 1024;

/// What becomes of a body of more than [`MAX_BODY`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oversize {
    /// It is refused as soon as that is known.
    Refuse,
    /// It is read to its end and thrown away, up to [`MAX_DISCARDED`] bytes.
    Discard,
}

impl Oversize {
    const fn limit(self) -> usize {
        match self {
            Self::Refuse => MAX_BODY,
            Self::Discard => MAX_DISCARDED,
        }
    }
}

/// A body that comes in: the network's own, or a test's.
pub(crate) trait Incoming: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static> Incoming for B {}

/// A body, or none when it was thrown away.
pub(crate) type Received = Option<Bytes>;

/// Reads a body whole.
///
/// # Errors
/// 413 for too many bytes, 408 when it takes longer than `time`, 400 when the client breaks off.
pub(crate) async fn read<B: Incoming>(
    headers: &HeaderMap,
    body: B,
    oversize: Oversize,
    time: Duration,
) -> Result<Received, Error> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > oversize.limit() as u64) {
        return Err(Error::BodyTooLarge);
    }
    within(time, collect(body, oversize)).await.unwrap_or(Err(Error::BodyTimeout))
}

async fn collect<B: Incoming>(body: B, oversize: Oversize) -> Result<Received, Error> {
    let mut body = pin!(body);
    let Some(first) = next(&mut body).await? else { return Ok(Some(Bytes::new())) };
    // Nearly always the whole body comes in one piece.
    if body.is_end_stream() && first.len() <= MAX_BODY {
        return Ok(Some(first));
    }
    let mut length = first.len();
    let mut kept = BytesMut::from(first);
    while length <= MAX_BODY {
        let Some(piece) = next(&mut body).await? else { return Ok(Some(kept.freeze())) };
        length += piece.len();
        kept.extend_from_slice(&piece);
    }
    drop(kept);
    while length <= oversize.limit() {
        let Some(piece) = next(&mut body).await? else { return Ok(None) };
        length += piece.len();
    }
    Err(Error::BodyTooLarge)
}

/// The next piece of data; trailers are dropped.
async fn next<B: Incoming>(body: &mut Pin<&mut B>) -> Result<Option<Bytes>, Error> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Error::Malformed("The request body ended early.".into())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// What a future gives, when it gives it in time. No timer is made for a future that is ready at once.
pub(crate) async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let at_once = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(output) => Some(output),
        // Rare, so it takes no room in the future of every request.
        Poll::Pending => Box::pin(tokio::time::timeout(time, future)).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use futures_util::stream;

    const TIME: Duration = Duration::from_secs(30);

    fn pieces(sizes: &[usize]) -> Body {
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            sizes.iter().map(|size| Ok(Bytes::from(vec![b'a'; *size]))).collect();
        Body::from_stream(stream::iter(pieces))
    }

    async fn length(body: Body) -> Result<usize, Error> {
        let received = read(&HeaderMap::new(), body, Oversize::Refuse, TIME).await?;
        Ok(received.expect("nothing is thrown away").len())
    }

    // IN-01
    #[tokio::test]
    async fn bodies_end_at_the_limit() {
        assert_eq!(length(Body::empty()).await.ok(), Some(0));
        assert_eq!(length(Body::from(vec![b'a'; MAX_BODY])).await.ok(), Some(MAX_BODY));
        assert_eq!(length(pieces(&[MAX_BODY - 1, 0, 1])).await.ok(), Some(MAX_BODY));
        assert!(matches!(length(Body::from(vec![b'a'; MAX_BODY + 1])).await, Err(Error::BodyTooLarge)));
        assert!(matches!(length(pieces(&[MAX_BODY, 1])).await, Err(Error::BodyTooLarge)));
    }

    // IN-01
    #[tokio::test]
    async fn larger_bodies_of_tokens_are_thrown_away_up_to_a_limit() {
        let received = async |body| read(&HeaderMap::new(), body, Oversize::Discard, TIME).await;
        assert!(matches!(received(pieces(&[MAX_BODY])).await, Ok(Some(_))));
        assert!(matches!(received(pieces(&[MAX_BODY + 1])).await, Ok(None)));
        assert!(matches!(received(pieces(&[MAX_BODY, 1])).await, Ok(None)));
        assert!(matches!(received(pieces(&[MAX_DISCARDED])).await, Ok(None)));
        assert!(matches!(received(pieces(&[MAX_DISCARDED, 1])).await, Err(Error::BodyTooLarge)));
        assert!(matches!(received(pieces(&[MAX_DISCARDED + 1])).await, Err(Error::BodyTooLarge)));
    }

    // IN-01
    #[tokio::test]
    async fn an_endless_body_is_cut_and_an_announced_one_is_not_read() {
        for (oversize, limit) in [(Oversize::Refuse, MAX_BODY), (Oversize::Discard, MAX_DISCARDED)] {
            let piece = || Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100]));
            let endless = Body::from_stream(stream::repeat_with(piece));
            let answer = read(&HeaderMap::new(), endless, oversize, TIME).await;
            assert!(matches!(answer, Err(Error::BodyTooLarge)));
            let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
            let headers = HeaderMap::from_iter([(CONTENT_LENGTH, http::HeaderValue::from(limit + 1))]);
            assert!(matches!(read(&headers, never, oversize, TIME).await, Err(Error::BodyTooLarge)));
        }
    }

    // IN-02
    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_cut() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert!(matches!(length(never).await, Err(Error::BodyTimeout)));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))]);
        assert!(matches!(length(Body::from_stream(broken)).await, Err(Error::Malformed(_))));
    }
}
