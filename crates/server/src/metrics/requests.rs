//! Counts of requests, by route and status.
//!
//! They are plain numbers in a fixed table, found by index and counted without a lock: looking up a set of labels, or
//! taking the lock of a histogram, would cost more than answering a token check leaves room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::routes::Route;

/// Upper bounds of the duration buckets, in microseconds: token checks take few, logins some ten thousands.
const BOUNDS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];
/// The statuses that we answer with; a foreign one counts as 0.
const STATUSES: [u16; 21] =
    [200, 201, 204, 304, 308, 400, 401, 403, 404, 405, 406, 408, 409, 413, 414, 415, 429, 431, 500, 503, 0];

/// The counts of one route.
#[derive(Default)]
struct Row {
    by_status: [AtomicU64; STATUSES.len()],
    by_duration: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

/// The counts of all routes.
pub(crate) struct HttpMetrics([Row; Route::ALL.len()]);

impl Default for HttpMetrics {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Row::default()))
    }
}

impl HttpMetrics {
    /// Notes an answered request.
    pub(crate) fn record(&self, route: Route, status: StatusCode, elapsed: Duration) {
        let row = &self.0[route as usize];
        let known = STATUSES.iter().position(|known| *known == status.as_u16());
        row.by_status[known.unwrap_or(STATUSES.len() - 1)].fetch_add(1, Relaxed);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound);
        row.by_duration[bucket.unwrap_or(BOUNDS.len())].fetch_add(1, Relaxed);
        row.microseconds.fetch_add(micros, Relaxed);
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, &Row)> {
        Route::ALL.into_iter().map(|route| (route.template(), &self.0[route as usize]))
    }
}

/// Shows the counts of the routes that were asked for.
pub(super) struct HttpCollector(pub(super) Arc<HttpMetrics>);

impl std::fmt::Debug for HttpCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpCollector")
    }
}

impl Collector for HttpCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.encode_requests(&mut encoder)?;
        self.encode_durations(&mut encoder)
    }
}

impl HttpCollector {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut family =
            encoder.encode_descriptor("http_requests", "Answered requests", None, MetricType::Counter)?;
        for (route, row) in self.0.rows() {
            for (status, count) in STATUSES.iter().zip(&row.by_status) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let labels = [("route", route.to_owned()), ("status", status.to_string())];
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_durations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = "http_request_duration_seconds";
        let mut family = encoder.encode_descriptor(name, "Time to answer", None, MetricType::Histogram)?;
        let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
        for (route, row) in self.0.rows() {
            let counts = row.by_duration.iter().map(|count| count.load(Relaxed));
            let buckets: Vec<(f64, u64)> = bounds.clone().zip(counts).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            if count > 0 {
                let sum = row.microseconds.load(Relaxed) as f64 / 1e6;
                let labels = [("route", route)];
                family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}
