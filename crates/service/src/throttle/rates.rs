//! Rates per network (an IPv4 address or an IPv6 /64), in fixed tables in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::time::Timestamp;
use parking_lot::Mutex;

use super::AddressLimit;

/// Slots of each kind of limit. An address is given one by keyed hash, so memory is fixed, and nobody outside can choose
/// an address that shares a slot with somebody else's.
const SLOTS: usize = 1 << 15;

/// The tables, one for each kind of limit.
pub(crate) struct AddressLimits {
    tables: [Mutex<Table>; AddressLimit::ALL.len()],
    /// Up to when what other replicas told has been heard.
    pub(super) heard_until: Mutex<Option<Timestamp>>,
}

struct Table {
    /// When the budget of each slot is whole again.
    whole_at: Box<[Timestamp]>,
    /// What was taken, less what was given back, since the other replicas were last told; in the order of slots.
    untold: BTreeMap<usize, i32>,
}

impl Default for AddressLimits {
    fn default() -> Self {
        let whole = || vec![Timestamp::from_micros(0); SLOTS].into_boxed_slice();
        let table = |_| Mutex::new(Table { whole_at: whole(), untold: BTreeMap::new() });
        Self { tables: AddressLimit::ALL.map(table), heard_until: Mutex::new(None) }
    }
}

impl Table {
    fn move_to(&mut self, slot: usize, whole_at: Timestamp, takes: i32) {
        self.whole_at[slot] = whole_at;
        let untold = self.untold.entry(slot).or_default();
        *untold = untold.saturating_add(takes);
        if *untold == 0 {
            self.untold.remove(&slot);
        }
    }
}

impl AddressLimits {
    fn table(&self, limit: AddressLimit) -> &Mutex<Table> {
        &self.tables[limit as usize]
    }

    /// Takes one from the budget, or says how long to wait.
    pub(super) fn take(&self, limit: AddressLimit, number: u64, now: Timestamp) -> Result<(), Duration> {
        let (slot, mut table) = (slot(number), self.table(limit).lock());
        let next = limit.rate().take(table.whole_at[slot], now)?;
        table.move_to(slot, next, 1);
        Ok(())
    }

    /// Counts one whether the budget has any left or not.
    pub(super) fn charge(&self, limit: AddressLimit, number: u64, now: Timestamp) {
        let (slot, mut table) = (slot(number), self.table(limit).lock());
        let next = limit.rate().charge(table.whole_at[slot], now);
        table.move_to(slot, next, 1);
    }

    /// Gives one back, as far as it still counts.
    pub(super) fn give_back(&self, limit: AddressLimit, number: u64, now: Timestamp) {
        let (slot, mut table) = (slot(number), self.table(limit).lock());
        if let Some(before) = limit.rate().give_back(table.whole_at[slot], now) {
            table.move_to(slot, before, -1);
        }
    }

    /// What the other replicas have not been told of yet and still counts; from now on it is taken for told.
    pub(super) fn take_untold(&self, limit: AddressLimit, now: Timestamp) -> Vec<(usize, i32)> {
        let mut table = self.table(limit).lock();
        let untold = std::mem::take(&mut table.untold);
        let counting =
            |(slot, takes): (usize, i32)| (slot, limit.rate().untold(takes, table.whole_at[slot], now));
        untold.into_iter().map(counting).filter(|(_, takes)| *takes != 0).collect()
    }

    /// It could not be told after all.
    pub(super) fn put_back_untold(&self, limit: AddressLimit, untold: &[(usize, i32)]) {
        let mut table = self.table(limit).lock();
        for (slot, takes) in untold {
            let whole_at = table.whole_at[*slot];
            table.move_to(*slot, whole_at, *takes);
        }
    }

    /// What all replicas together have told of a slot.
    pub(super) fn hear(&self, limit: AddressLimit, slot: usize, told: Timestamp, now: Timestamp) {
        let mut table = self.table(limit).lock();
        let untold = table.untold.get(&slot).copied().unwrap_or(0);
        if let Some(whole_at) = table.whole_at.get_mut(slot) {
            *whole_at = limit.rate().together(told, untold, now);
        }
    }
}

fn slot(number: u64) -> usize {
    (number % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_kinds_of_attempts_do_not_touch_each_other() {
        // LG-08, DS-04
        let limits = AddressLimits::default();
        let now = Timestamp::from_seconds(1_000);
        for _ in 0..AddressLimit::Registration.rate().burst() {
            assert_eq!(limits.take(AddressLimit::Registration, 7, now), Ok(()));
        }
        assert!(limits.take(AddressLimit::Registration, 7, now).is_err());
        assert_eq!(limits.take(AddressLimit::Registration, 8, now), Ok(()), "others are not touched");
        assert_eq!(limits.take(AddressLimit::Login, 7, now), Ok(()), "nor is another kind of attempt");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_nobody_is_told() {
        let limits = AddressLimits::default();
        let now = Timestamp::from_seconds(1_000);
        for _ in 0..AddressLimit::Login.rate().burst() * 3 {
            assert_eq!(limits.take(AddressLimit::Login, 1, now), Ok(()));
            limits.give_back(AddressLimit::Login, 1, now);
        }
        assert_eq!(limits.take_untold(AddressLimit::Login, now), []);
    }

    #[test]
    fn what_could_not_be_told_is_told_later_as_far_as_it_counts() {
        let limits = AddressLimits::default();
        let now = Timestamp::from_seconds(1_000);
        for number in [3, 1, 3] {
            assert_eq!(limits.take(AddressLimit::Login, number, now), Ok(()));
        }
        let untold = limits.take_untold(AddressLimit::Login, now);
        assert_eq!(untold, [(1, 1), (3, 2)], "in the order of slots");
        limits.put_back_untold(AddressLimit::Login, &untold);
        let later = now + Duration::from_secs(7);
        assert_eq!(limits.take_untold(AddressLimit::Login, later), [(3, 1)]);
        assert_eq!(limits.take_untold(AddressLimit::Login, later), []);
    }

    #[test]
    fn what_is_heard_counts_together_with_what_is_untold() {
        let limits = AddressLimits::default();
        let now = Timestamp::from_seconds(1_000);
        assert_eq!(limits.take(AddressLimit::Login, 5, now), Ok(()));
        let spent = now + Duration::from_secs(6 * 99);
        limits.hear(AddressLimit::Login, 5, spent, now);
        assert!(limits.take(AddressLimit::Login, 5, now).is_err(), "99 and one of our own");
        limits.hear(AddressLimit::Login, SLOTS, spent, now);
    }
}
