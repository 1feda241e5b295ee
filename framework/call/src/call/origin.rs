//! On whose behalf a call runs, as far as taking turns is concerned.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    net::{IpAddr, Ipv6Addr},
    sync::LazyLock,
};

/// Who has caused a call: a peer, and within it a client. Where calls wait for something scarce, origins
/// take turns ([`super::turns`]), so that no origin keeps another one's calls waiting.
///
/// Both are hashes. If two origins have the same one, they share their turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// The process that called this one; 0 is this process.
    pub peer: u32,
    /// The client of the gateway; 0 if the call does not come from one.
    pub client: u32,
}

impl Origin {
    /// This process itself: background tasks and durable work.
    pub const OWN: Self = Self { peer: 0, client: 0 };

    /// A client of this process's gateway.
    pub fn of_client(address: IpAddr) -> Self {
        Self { peer: 0, client: hash(network_of(address)) }
    }

    /// The part of an origin that is the peer.
    pub fn peer_of(process: &str) -> u32 {
        hash(process)
    }

    /// The same, as another process sees it that was called by `peer`.
    pub fn through(self, peer: u32) -> Self {
        Self { peer, ..self }
    }
}

/// What counts as one client: an address of IPv4, or a network of IPv6, of which one customer of a provider
/// has 2⁶⁴ addresses.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64))
        }
        address => address,
    }
}

/// Keyed, so that a client cannot choose an address whose hash is that of another client.
fn hash(what: impl Hash) -> u32 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    (KEY.hash_one(what) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_apart_by_address_and_by_network() {
        let of = |text: &str| Origin::of_client(text.parse().unwrap());
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("10.0.0.1").client, Origin::OWN.client);
        assert_eq!(of("10.0.0.1").through(7), Origin { peer: 7, client: of("10.0.0.1").client });
    }
}
