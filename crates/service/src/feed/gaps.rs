//! Places of the feed that a reader has passed while they were empty.
//!
//! An entry gets its place when it is written and appears when its transaction commits. On PostgreSQL that is not the same
//! order, so an empty place below the last one is an entry that may still come, or one that was taken back and never does.
//! It is asked for again until no transaction from then can be alive.

use std::time::Duration;

use domain::time::Timestamp;

/// Longer than any transaction lives: the store ends those that last for 30 s, and the server those that idle for 10 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// Ranges that are asked for one by one; what is more is asked for as one range with everything between.
const MOST_QUESTIONS: usize = 32;

/// The places, as ranges in growing order.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<Gap>);

#[derive(Debug, Clone, Copy)]
struct Gap {
    first: i64,
    last: i64,
    since: Timestamp,
}

impl Gaps {
    /// Notes that the places after `before` and before `next` were passed. They come in growing order.
    pub(super) fn note(&mut self, before: i64, next: i64, now: Timestamp) {
        if next > before.saturating_add(1) {
            self.0.push(Gap { first: before + 1, last: next - 1, since: now });
        }
    }

    /// An entry has come: its place is no gap any more.
    pub(super) fn fill(&mut self, place: i64) {
        let Some(at) = self.0.iter().position(|gap| (gap.first..=gap.last).contains(&place)) else { return };
        let gap = self.0.remove(at);
        let rest = [Gap { last: place - 1, ..gap }, Gap { first: place + 1, ..gap }];
        let rest = rest.into_iter().filter(|gap| gap.first <= gap.last);
        self.0.splice(at..at, rest);
    }

    /// Forgets what nobody can fill any more.
    pub(super) fn forget(&mut self, now: Timestamp) {
        // A clock that was set back makes them stay longer, never shorter.
        self.0.retain(|gap| now.micros().saturating_sub(gap.since.micros()) < PATIENCE.as_micros() as i64);
    }

    /// The ranges to ask for, first and last place each: few, however many gaps there are.
    pub(super) fn questions(&self) -> Vec<(i64, i64)> {
        let mut ranges: Vec<(i64, i64)> = self.0.iter().map(|gap| (gap.first, gap.last)).collect();
        if let (Some(rest), Some(end)) = (ranges.get(MOST_QUESTIONS - 1), ranges.last()) {
            let rest = (rest.0, end.1);
            ranges.truncate(MOST_QUESTIONS - 1);
            ranges.push(rest);
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    #[test]
    fn places_that_were_passed_are_asked_for_until_they_are_filled() {
        let mut gaps = Gaps::default();
        gaps.note(7, 8, NOW);
        assert!(gaps.questions().is_empty(), "8 follows 7");
        gaps.note(8, 12, NOW);
        gaps.note(12, 14, NOW);
        assert_eq!(gaps.questions(), [(9, 11), (13, 13)]);
        gaps.fill(10);
        assert_eq!(gaps.questions(), [(9, 9), (11, 11), (13, 13)]);
        for place in [13, 9, 9, 99] {
            gaps.fill(place);
        }
        assert_eq!(gaps.questions(), [(11, 11)]);
        gaps.fill(11);
        assert!(gaps.questions().is_empty());
    }

    #[test]
    fn they_are_forgotten_when_nobody_can_fill_them_any_more() {
        let mut gaps = Gaps::default();
        gaps.note(0, 2, NOW);
        gaps.note(5, 7, NOW + Duration::from_secs(60));
        gaps.forget(NOW + Duration::from_secs(119));
        assert_eq!(gaps.questions().len(), 2);
        gaps.forget(NOW + Duration::from_secs(120));
        assert_eq!(gaps.questions(), [(6, 6)]);
        gaps.forget(NOW - Duration::from_secs(60));
        assert_eq!(gaps.questions(), [(6, 6)], "a clock that is set back forgets nothing");
    }

    #[test]
    fn many_gaps_are_few_questions_that_leave_none_out() {
        let mut gaps = Gaps::default();
        for place in (0..1_000).step_by(2) {
            gaps.note(place, place + 2, NOW);
        }
        let questions = gaps.questions();
        assert_eq!(questions.len(), MOST_QUESTIONS);
        assert!(
            (1..1_000)
                .step_by(2)
                .all(|place| questions.iter().any(|(first, last)| (first..=last).contains(&&place)))
        );
    }
}
