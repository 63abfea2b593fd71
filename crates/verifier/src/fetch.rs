//! How key set and status lists are fetched: by a function, which a user may replace.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "fetch")]
pub(crate) mod client;

/// The longest that one fetch may take, whoever does it.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What is to be fetched.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FetchRequest {
    /// The address: the configured one of the key set, or one below the configured place of the status lists.
    pub url: String,
    /// The value for the header `Accept`.
    pub accept: &'static str,
    /// The longest body that will be taken, in bytes. Stop reading there.
    pub max_body: usize,
}

/// What was fetched, by an answer of status 200.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// The body, decoded of any content encoding.
    pub body: Vec<u8>,
    /// The header `Cache-Control`, where there was one.
    pub cache_control: Option<String>,
}

/// Why nothing was fetched.
pub type FetchError = Box<dyn Error + Send + Sync>;

/// What a fetch function returns.
pub type FetchFuture = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send>>;

/// A fetch function. It must not follow redirects: what the answer says is not where we agreed to look (SSRF).
pub type Fetch = Arc<dyn Fn(FetchRequest) -> FetchFuture + Send + Sync>;

/// Fetches within [`FETCH_TIMEOUT`] and holds the function to the length that was asked for.
pub(crate) async fn fetch_bounded(fetch: &Fetch, request: FetchRequest) -> Result<Fetched, FetchError> {
    let max_body = request.max_body;
    let fetched =
        tokio::time::timeout(FETCH_TIMEOUT, fetch(request)).await.map_err(|_| "the fetch timed out")??;
    if fetched.body.len() > max_body {
        return Err("the answer is too long".into());
    }
    Ok(fetched)
}

/// `max-age` of a header `Cache-Control` (RFC 9111 section 5.2.2); zero where it forbids to store or to reuse.
pub(crate) fn max_age(cache_control: &str) -> Option<Duration> {
    let mut age = None;
    for directive in cache_control.split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::max_age;
    use std::time::Duration;

    #[test]
    fn cache_control_is_read_leniently() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(max_age("public, max-age=300"), seconds(300));
        assert_eq!(max_age("Max-Age=\"7\" , must-revalidate"), seconds(7));
        assert_eq!(max_age("max-age=300, no-store"), seconds(0));
        assert_eq!(max_age("no-cache"), seconds(0));
        assert_eq!(max_age("public"), None);
        assert_eq!(max_age("max-age=-1"), None);
    }
}
