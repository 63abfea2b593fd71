//! Networks: whom an address stands for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network an address belongs to (LG-07): one IPv4 address, or the /64 that one IPv6 customer gets. An IPv4
/// address written as IPv6 (`::ffff:203.0.113.7`) is the IPv4 address.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Network {
    /// A /32.
    V4([u8; 4]),
    /// A /64: its first half.
    V6([u8; 8]),
}

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let mut prefix = [0; 8];
                prefix.copy_from_slice(&v6.octets()[..8]);
                Self::V6(prefix)
            }
        }
    }

    /// Four bytes for IPv4, eight for IPv6: different networks have different bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

/// `203.0.113.7` or `2001:db8::/64`
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(bytes) => Ipv4Addr::from(*bytes).fmt(f),
            Self::V6(prefix) => {
                let mut address = [0; 16];
                address[..8].copy_from_slice(prefix);
                write!(f, "{}/64", Ipv6Addr::from(address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::of(address.parse().expect("a test address"))
    }

    // LG-07
    #[test]
    fn addresses_of_one_customer_are_one_network() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.7"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
        assert_ne!(network("::"), network("0.0.0.0"));
    }

    #[test]
    fn networks_are_shown_as_people_write_them() {
        assert_eq!(network("::ffff:203.0.113.7").to_string(), "203.0.113.7");
        assert_eq!(network("2001:db8::7").to_string(), "2001:db8::/64");
        assert_eq!(network("2001:db8:0:1:2::7").to_string(), "2001:db8:0:1::/64");
    }
}
