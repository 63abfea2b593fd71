//! The life of a signing key: published before it signs, checking until the last token it signed has died.

use std::time::Duration;

use crate::time::Timestamp;
use crate::token::TokenType;

/// Clocks of replicas, and the moment at which each hears of a change, may differ by this much.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// What a key signs. One kind of token each, so that none can be taken for the other (TK-03).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Access tokens; others hold the public part.
    Access,
    /// Refresh tokens; nobody else can check them.
    Refresh,
}

impl Purpose {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Access, Self::Refresh];

    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }

    /// The purpose of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }

    /// The only type of token that its keys sign.
    pub const fn token_type(self) -> TokenType {
        match self {
            Self::Access => TokenType::Access,
            Self::Refresh => TokenType::Refresh,
        }
    }
}

/// When a key does what.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Life {
    /// Made, and published from then.
    pub created_at: Timestamp,
    /// Signs from then.
    pub active_from: Timestamp,
    /// Signs until then; its successor's `active_from`.
    pub retired_at: Option<Timestamp>,
    /// Neither signs nor checks any more.
    pub dropped_at: Option<Timestamp>,
}

/// What a key does at some moment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Published, does not sign yet.
    Next,
    /// Signs and checks.
    Signing,
    /// Only checks.
    Retired,
    /// Every token that it signed has died.
    Expired,
    /// Ended in an emergency.
    Dropped,
}

impl State {
    /// In one word, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Signing => "signing",
            Self::Retired => "retired",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
        }
    }
}

impl Life {
    /// A key made at `now`.
    pub const fn new(now: Timestamp, active_from: Timestamp) -> Self {
        Self { created_at: now, active_from, retired_at: None, dropped_at: None }
    }

    /// When the last token that it signed has died, if it no longer signs. `longest` is the longest lifetime that such tokens
    /// were ever given.
    pub fn checks_until(&self, longest: Duration) -> Option<Timestamp> {
        self.retired_at.map(|at| at + longest + MARGIN)
    }

    /// Of keys that were retired before this moment every token has died at `now`.
    pub fn expired_if_retired_before(now: Timestamp, longest: Duration) -> Timestamp {
        now - longest - MARGIN
    }

    /// Whether its signatures are good (TK-10). Also before it signs: another replica's clock may be ahead.
    pub fn checks(&self, now: Timestamp, longest: Duration) -> bool {
        self.dropped_at.is_none() && self.checks_until(longest).is_none_or(|end| now < end)
    }

    /// What it does at `now`.
    pub fn state(&self, now: Timestamp, longest: Duration) -> State {
        if self.dropped_at.is_some() {
            State::Dropped
        } else if !self.checks(now, longest) {
            State::Expired
        } else if self.retired_at.is_some_and(|at| at <= now) {
            State::Retired
        } else if self.active_from > now {
            State::Next
        } else {
            State::Signing
        }
    }

    /// Whether it is the last of its line: nobody has been named to follow it.
    fn is_last(&self) -> bool {
        self.dropped_at.is_none() && self.retired_at.is_none()
    }
}

/// The key that signs at `now`: of those whose time it is the latest. When a clock was set back there may be none; then the
/// one whose time comes first, because every key here is published already.
pub fn signer<K>(keys: &[K], life: impl Fn(&K) -> Life, now: Timestamp) -> Option<&K> {
    let signing = |key: &&K| {
        let life = life(key);
        life.dropped_at.is_none() && life.active_from <= now && life.retired_at.is_none_or(|at| now < at)
    };
    let last = |key: &&K| life(key).is_last();
    let by_time = |key: &&K| life(key).active_from;
    keys.iter().filter(signing).max_by_key(by_time).or_else(|| keys.iter().filter(last).min_by_key(by_time))
}

/// How keys follow one another.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// How long a key signs; `None` for ever.
    pub interval: Option<Duration>,
    /// How long a key is published before it signs.
    pub publish_ahead: Duration,
}

/// Whether a key has to be made at `now`, and from when it is to sign. `keys` are those of one purpose.
///
/// The first signs at once; each later one is published [`Rotation::publish_ahead`] before. `fits` says of a key whether its
/// algorithm is the one that is wanted.
pub fn next_from<K>(
    keys: &[K],
    life: impl Fn(&K) -> Life,
    fits: impl Fn(&K) -> bool,
    rotation: Rotation,
    now: Timestamp,
) -> Option<Timestamp> {
    let last = keys.iter().filter(|key| life(key).is_last()).max_by_key(|key| life(key).active_from);
    let Some(last) = last else { return Some(now) };
    let soonest = now + rotation.publish_ahead;
    if !fits(last) {
        return Some(soonest);
    }
    let due = life(last).active_from + rotation.interval?;
    (soonest >= due).then_some(soonest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const ROTATION: Rotation =
        Rotation { interval: Some(Duration::from_secs(90 * 24 * 3600)), publish_ahead: HOUR };

    fn next(keys: &[Life], now: Timestamp) -> Option<Timestamp> {
        next_from(keys, |life| *life, |_| true, ROTATION, now)
    }

    // TK-10
    #[test]
    fn a_key_is_published_before_it_signs_and_checks_until_its_last_token_died() {
        let longest = Duration::from_secs(900);
        let life = Life { retired_at: Some(NOW + DAY), ..Life::new(NOW - HOUR, NOW) };
        let at = |time| life.state(time, longest);
        assert_eq!(at(NOW - HOUR), State::Next);
        assert!(life.checks(NOW - HOUR, longest), "a replica whose clock is ahead may sign already");
        assert_eq!(at(NOW), State::Signing);
        assert_eq!(at(NOW + DAY - Duration::from_micros(1)), State::Signing);
        assert_eq!(at(NOW + DAY), State::Retired);
        let end = NOW + DAY + longest + MARGIN;
        assert_eq!(life.checks_until(longest), Some(end));
        assert_eq!(at(end - Duration::from_micros(1)), State::Retired);
        assert_eq!(at(end), State::Expired);
        assert!(!life.checks(end, longest));
        let dropped = Life { dropped_at: Some(NOW), ..life };
        assert_eq!(dropped.state(NOW, longest), State::Dropped);
        assert!(!dropped.checks(NOW - HOUR, longest), "a dropped key checks nothing, whenever it was signed");
    }

    // TK-10
    #[test]
    fn the_first_key_signs_at_once_and_the_next_is_made_ahead_of_time() {
        assert_eq!(next(&[], NOW), Some(NOW));
        let first = Life::new(NOW, NOW);
        let due = NOW + DAY * 90;
        for quiet in [NOW, NOW + DAY, due - HOUR - Duration::from_micros(1)] {
            assert_eq!(next(&[first], quiet), None);
        }
        assert_eq!(next(&[first], due - HOUR), Some(due));
        assert_eq!(next(&[first], due + DAY), Some(due + DAY + HOUR), "late, and still published ahead");
        let second = Life::new(due - HOUR, due);
        let retired = Life { retired_at: Some(due), ..first };
        assert_eq!(next(&[retired, second], due), None);
        let dropped = Life { dropped_at: Some(due), ..second };
        assert_eq!(next(&[retired, dropped], due), Some(due), "nobody is left to sign");
    }

    #[test]
    fn zero_means_never_and_another_algorithm_comes_with_notice() {
        let never = Rotation { interval: None, ..ROTATION };
        let first = Life::new(NOW, NOW);
        assert_eq!(next_from(&[first], |life| *life, |_| true, never, NOW + DAY * 9999), None);
        assert_eq!(next_from(&[first], |life| *life, |_| false, never, NOW), Some(NOW + HOUR));
    }

    #[test]
    fn one_key_signs_at_every_moment() {
        let first = Life { retired_at: Some(NOW + DAY), ..Life::new(NOW, NOW) };
        let second = Life::new(NOW, NOW + DAY);
        let keys = [first, second];
        let at = |time| signer(&keys, |life| *life, time).copied();
        assert_eq!(at(NOW), Some(first));
        assert_eq!(at(NOW + DAY - Duration::from_micros(1)), Some(first));
        assert_eq!(at(NOW + DAY), Some(second));
        assert_eq!(at(NOW - DAY), Some(second), "the clock was set back: the last of the line");
        let dropped = [Life { dropped_at: Some(NOW), ..second }];
        assert_eq!(signer(&dropped, |life| *life, NOW + DAY), None);
    }
}
