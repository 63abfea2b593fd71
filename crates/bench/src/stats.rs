//! Order statistics: medians and spreads of a few rounds, percentiles of many latencies.

use std::time::Duration;

/// The middle of several rounds, and the quartiles: half of the rounds lie between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Summary {
    /// Summarises `values`; `None` when there are none or one is not a number.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let [lower, median, upper] = [0.25, 0.5, 0.75].map(|share| quantile(&sorted, share));
        Some(Self { median, lower, upper })
    }

    /// Summarises the ratios of two series round by round, so that a disturbance that lasts longer than a
    /// round touches both sides of the same ratio.
    pub(crate) fn of_ratios(ours: &[f64], baseline: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = ours.iter().zip(baseline).map(|(ours, baseline)| ours / baseline).collect();
        Self::of(&ratios)
    }
}

/// The quantile `share` (0..=1) of sorted values, linear between the two nearest.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The nearest-rank percentile `share` (0..=1) of `latencies`, which are sorted in place; zero when empty.
pub(crate) fn percentile(latencies: &mut [Duration], share: f64) -> Duration {
    if latencies.is_empty() {
        return Duration::ZERO;
    }
    latencies.sort_unstable();
    let rank = (share * latencies.len() as f64).ceil() as usize;
    latencies[rank.clamp(1, latencies.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_quartiles() {
        let odd = Summary::of(&[5.0, 1.0, 2.0, 4.0, 3.0]).unwrap();
        assert_eq!(odd, Summary { median: 3.0, lower: 2.0, upper: 4.0 });
        assert_eq!(Summary::of(&[1.0, 2.0, 4.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of(&[7.0]).unwrap(), Summary { median: 7.0, lower: 7.0, upper: 7.0 });
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let summary = Summary::of_ratios(&[2.0, 20.0, 3.0], &[1.0, 10.0, 1.0]).unwrap();
        assert_eq!(summary, Summary { median: 2.0, lower: 2.0, upper: 2.5 });
        assert_eq!(Summary::of_ratios(&[1.0], &[0.0]), None);
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        let mut hundred: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut hundred, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&mut hundred, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&mut hundred, 1.0), Duration::from_millis(100));
        assert_eq!(percentile(&mut [Duration::from_millis(7)], 0.0), Duration::from_millis(7));
        assert_eq!(percentile(&mut [], 0.99), Duration::ZERO);
    }
}
