//! How many connections there may be, in all and from one address (IN-02). The map holds addresses with a connection only,
//! so it is bounded by the number of connections (DS-03).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;

use crate::client;
use crate::settings::Limits;

#[derive(Clone)]
pub(super) struct Slots(Arc<Shared>);

struct Shared {
    most: usize,
    most_per_address: usize,
    trusted: Vec<IpNet>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<u128, usize>,
}

/// Permission for one connection; given back when dropped.
pub(super) struct Slot {
    shared: Arc<Shared>,
    key: u128,
}

impl Slots {
    pub(super) fn new(limits: &Limits, trusted: Vec<IpNet>) -> Self {
        Self(Arc::new(Shared {
            most: limits.connections,
            most_per_address: limits.connections_per_address,
            trusted,
            taken: Mutex::default(),
        }))
    }

    /// A slot for a peer, if there is one left for it. Trusted proxies carry many clients; only the total bounds them.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Slot> {
        let peer = peer.to_canonical();
        let key = key(peer);
        let mut taken = self.0.taken.lock();
        let of_peer = taken.by_address.get(&key).copied().unwrap_or(0);
        let too_many = of_peer >= self.0.most_per_address && !client::is_trusted(peer, &self.0.trusted);
        if taken.all >= self.0.most || too_many {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(key, of_peer + 1);
        Some(Slot { shared: Arc::clone(&self.0), key })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        taken.all -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.key);
            }
        }
    }
}

/// IPv6 counts by /64: whoever has one address has all of its network.
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(connections: usize, connections_per_address: usize) -> Slots {
        let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
        Slots::new(&Limits { connections, connections_per_address, ..Limits::default() }, trusted)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    // IN-02, DS-03
    #[test]
    fn connections_are_counted_in_all_and_by_address() {
        let slots = slots(5, 2);
        let first = slots.take(address("203.0.113.7"));
        let second = slots.take(address("::ffff:203.0.113.7"));
        assert!(first.is_some() && second.is_some());
        assert!(slots.take(address("203.0.113.7")).is_none());
        let other = slots.take(address("203.0.113.8"));
        drop(first);
        let again = slots.take(address("203.0.113.7"));
        assert!(again.is_some());
        drop((second, other, again));
        assert!(slots.0.taken.lock().by_address.is_empty());
        assert_eq!(slots.0.taken.lock().all, 0);
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_proxies_are_many() {
        let slots = slots(5, 1);
        let _one = slots.take(address("2001:db8::1")).expect("a slot");
        assert!(slots.take(address("2001:db8::ffff:1")).is_none());
        let _proxied =
            [slots.take(address("10.0.0.1")), slots.take(address("10.0.0.1"))].map(|s| s.expect("a slot"));
        let _other = slots.take(address("2001:db8:0:1::1")).expect("a slot");
        let _last = slots.take(address("10.0.0.1")).expect("a slot");
        assert!(slots.take(address("10.0.0.2")).is_none(), "five connections in all");
    }
}
