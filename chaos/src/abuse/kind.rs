//! The kinds of floods: what each is called, what it does, and what is asked beside it.

use super::{
    aim::Aim, bodies, connections, hellos, honest::Mix, logins, place::Shape, refused, unread,
};
use std::time::Duration;

/// A method's number that no process has given.
const UNKNOWN: u32 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FloodKind {
    UnknownMethod,
    Denied,
    Hellos,
    Bodies,
    UnreadByPeers,
    UnreadByClients,
    FewLogIns,
    ManyLogIns,
    IdleClients,
    SlowHeads,
    SlowBodies,
    SlowAndSilent,
    IdlePeers,
}

impl FloodKind {
    pub(super) const ALL: [Self; 13] = [
        Self::UnknownMethod,
        Self::Denied,
        Self::Hellos,
        Self::Bodies,
        Self::UnreadByPeers,
        Self::UnreadByClients,
        Self::FewLogIns,
        Self::ManyLogIns,
        Self::IdleClients,
        Self::SlowHeads,
        Self::SlowBodies,
        Self::SlowAndSilent,
        Self::IdlePeers,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::UnknownMethod => "unknown-method",
            Self::Denied => "denied",
            Self::Hellos => "hellos",
            Self::Bodies => "bodies",
            Self::UnreadByPeers => "unread-by-peers",
            Self::UnreadByClients => "unread-by-clients",
            Self::FewLogIns => "log-ins-150",
            Self::ManyLogIns => "log-ins-1000",
            Self::IdleClients => "idle-clients",
            Self::SlowHeads => "slow-heads",
            Self::SlowBodies => "slow-bodies",
            Self::SlowAndSilent => "slow-and-silent",
            Self::IdlePeers => "idle-peers",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::UnknownMethod => "calls of an unknown method over two connections",
            Self::Denied => "calls of a denied process over two connections",
            Self::Hellos => "500 peers that say hello and then nothing, every 2 s",
            Self::Bodies => {
                "bodies of 1 MB that are passed on, 100/s for 12 s; split: before a stopped service"
            }
            Self::UnreadByPeers => "answers to peers that do not read them, each",
            Self::UnreadByClients => "answers to a client that reads none of 400, each",
            Self::FewLogIns => "150 log-ins at once",
            Self::ManyLogIns => "1,000 log-ins at once",
            Self::IdleClients => "1,100 idle connections to the gateway",
            Self::SlowHeads => "1,100 requests to the gateway, a header each second",
            Self::SlowBodies => "1,100 requests to the gateway, a byte of the body each second",
            Self::SlowAndSilent => {
                "2,000 slow connections and 500 silent ones; beside: nothing at all"
            }
            Self::IdlePeers => "500 idle connections to the port for peers",
        }
    }

    pub(super) fn shapes(self) -> &'static [Shape] {
        &[Shape::Monolith, Shape::Split]
    }

    /// What honest clients ask for meanwhile.
    pub(super) fn mix(self) -> Mix {
        let usual = Mix { orders: true, ..Mix::default() };
        match self {
            Self::UnknownMethod | Self::Denied | Self::Hellos | Self::IdlePeers => {
                Mix { peers: true, ..usual }
            }
            // Orders want the service that is stopped.
            Self::Bodies => Mix::default(),
            Self::IdleClients | Self::SlowHeads | Self::SlowBodies | Self::SlowAndSilent => {
                Mix { fresh: true, ..usual }
            }
            _ => usual,
        }
    }

    pub(super) fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Self::Bodies | Self::SlowHeads | Self::SlowAndSilent => 12,
            Self::ManyLogIns => 10,
            _ => 8,
        })
    }

    /// Whether what it must hold to is memory too.
    pub(super) fn is_about_memory(self) -> bool {
        matches!(
            self,
            Self::Bodies
                | Self::UnreadByPeers
                | Self::UnreadByClients
                | Self::FewLogIns
                | Self::ManyLogIns
                | Self::SlowAndSilent
        )
    }

    /// Whether honest requests are compared with what they take without any flood, and how many times that they may take.
    pub(super) fn times_without(self) -> Option<f64> {
        (self == Self::SlowAndSilent).then_some(2.0)
    }

    /// Whether it sends as much as is taken, so that elsewhere it has to send as much.
    pub(super) fn is_paced(self) -> bool {
        matches!(self, Self::UnknownMethod | Self::Denied)
    }

    pub(super) fn wants_a_page(self) -> bool {
        matches!(self, Self::UnreadByPeers | Self::UnreadByClients)
    }

    pub(super) fn wants_a_customer(self) -> bool {
        matches!(self, Self::FewLogIns | Self::ManyLogIns)
    }

    pub(super) fn stops_a_service(self) -> bool {
        self == Self::Bodies
    }

    pub(super) async fn flood(self, aim: Aim) -> anyhow::Result<()> {
        let (gateway, peers) = (aim.gateway, aim.peers);
        match self {
            Self::UnknownMethod => refused::flood(aim, UNKNOWN).await,
            Self::Denied => {
                let level = aim.numbers.level;
                refused::flood(aim, level).await
            }
            Self::Hellos => hellos::flood(aim).await,
            Self::Bodies => bodies::flood(aim).await,
            Self::UnreadByPeers => unread::by_peers(aim).await,
            Self::UnreadByClients => unread::by_clients(aim).await,
            Self::FewLogIns => logins::flood(aim, 150).await,
            Self::ManyLogIns => logins::flood(aim, 1_000).await,
            Self::IdleClients => connections::keep(aim, gateway, 1_100, connections::IDLE).await,
            Self::SlowHeads => {
                connections::keep(aim, gateway, 1_100, connections::SLOW_HEADS).await
            }
            Self::SlowBodies => {
                connections::keep(aim, gateway, 1_100, connections::SLOW_BODIES).await
            }
            Self::SlowAndSilent => {
                // Half of the slow ones send heads, and half bodies.
                let keep = |count, how| connections::keep(aim.clone(), gateway, count, how);
                tokio::try_join!(
                    keep(aim.many(1_000), connections::SLOW_HEADS),
                    keep(aim.many(1_000), connections::SLOW_BODIES),
                    keep(aim.many(500), connections::IDLE),
                )
                .map(drop)
            }
            Self::IdlePeers => connections::keep(aim, peers, 500, connections::IDLE).await,
        }
    }
}
