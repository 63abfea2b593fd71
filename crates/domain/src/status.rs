//! Status lists (draft-ietf-oauth-status-list): one bit for each session, set once the session has ended.

/// Places in one list. At most about half of them are used, so that random ones are found at once.
pub const PLACES: u32 = 1 << 20;

/// Where the status of a session stands.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct StatusPlace {
    /// Which list.
    pub list: i64,
    /// Where in it, below [`PLACES`] (claim `idx`).
    pub place: u32,
}

/// A place from 32 random bits, each as likely as any other.
pub const fn random_place(random: u32) -> u32 {
    random % PLACES // a power of two: no place is favoured
}

/// The bits of a list: 0 is VALID, 1 is INVALID (draft section 7.1). The lowest bit of a byte comes first (section 4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusBits(Vec<u8>);

impl Default for StatusBits {
    /// All valid.
    fn default() -> Self {
        Self(vec![0; PLACES as usize / 8])
    }
}

impl StatusBits {
    /// Marks a place as ended; false when it was. Places beyond the end are ignored.
    pub fn end(&mut self, place: u32) -> bool {
        let Some(byte) = self.0.get_mut(place as usize / 8) else { return false };
        let bit = 1 << (place % 8);
        let is_new = *byte & bit == 0;
        *byte |= bit;
        is_new
    }

    /// Whether the session at this place has ended; true beyond the end.
    pub fn has_ended(&self, place: u32) -> bool {
        self.0.get(place as usize / 8).is_none_or(|byte| byte & 1 << (place % 8) != 0)
    }

    /// The list before it is compressed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // SE-10: the example of draft section 4.1 (one bit each): 0xb9 0xa3.
    #[test]
    fn the_lowest_bit_comes_first() {
        let mut bits = StatusBits::default();
        let statuses = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
        for (place, _) in (0_u32..).zip(statuses).filter(|(_, status)| *status == 1) {
            assert!(bits.end(place));
        }
        assert_eq!(bits.as_bytes()[..3], [0xb9, 0xa3, 0]);
    }

    proptest! {
        // SE-10
        #[test]
        fn a_place_ends_alone_and_once(places in proptest::collection::hash_set(0..PLACES, 0..50), other in 0..PLACES) {
            let mut bits = StatusBits::default();
            for place in &places {
                prop_assert!(bits.end(*place));
                prop_assert!(!bits.end(*place));
            }
            prop_assert_eq!(bits.has_ended(other), places.contains(&other));
            prop_assert!(!bits.end(PLACES) && bits.has_ended(PLACES), "beyond the end nothing is valid");
        }
    }

    #[test]
    fn every_random_number_is_a_place() {
        for random in [0, 1, PLACES - 1, PLACES, u32::MAX] {
            assert!(random_place(random) < PLACES);
        }
    }
}
