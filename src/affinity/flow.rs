//! Flows: which backend serves a client of layer 4, who shows nothing but an address, and why. Pure.
//!
//! A client goes where the hash of its address leads, on every replica, and is remembered there: the learned table is
//! the flow table. So backends may come and go without moving a client that is known, while its own is alive.

use std::net::{IpAddr, Ipv6Addr};

use super::decide::{Circumstance, Decision, Refusal, Verdict, must_wait};
use super::learned::Origin;
use super::policy::{Mode, Policy};
use super::session::SessionDigest;
use super::unsure::{Unsure, unsure_of};
use crate::clock::Now;
use crate::names::{BackendIndex, BackendTag, Outcome, Reason};
use crate::pool::{Algorithm, HashSeed, Pool};

/// How clients of a pool are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowPolicy {
    /// Bits of an IPv4 address that count, at most 32.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that count, at most 128.
    pub ipv6_prefix: u8,
    /// A name that tells a client apart before its address does, where it gives itself one.
    pub name: Option<ClientName>,
}

/// A name that a client gives itself in its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientName {
    /// The server name of its TLS handshake.
    TlsServerName,
    /// `mstshash` of Remote Desktop.
    RdpCookie,
    /// The client id of MQTT.
    MqttClientId,
}

/// A client of layer 4: a keyed digest of what tells it apart, and what it shows besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    client: SessionDigest,
    /// The backend that a connection id of its names.
    named: Option<BackendTag>,
}

/// What became of a client's session when its connection stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowNote {
    /// What happened to it.
    pub outcome: Outcome,
    /// The backend that it has left.
    pub moved_from: Option<BackendTag>,
}

impl FlowPolicy {
    /// The client at an address.
    pub fn by_address(&self, client: IpAddr, seed: &HashSeed) -> Flow {
        let mut key = [0; 17];
        let (family, network) = match client.to_canonical() {
            IpAddr::V4(client) => {
                let kept = u32::MAX.checked_shl(32 - u32::from(self.ipv4_prefix.min(32))).unwrap_or(0);
                (4, Ipv6Addr::from_bits((client.to_bits() & kept).into()))
            }
            IpAddr::V6(client) => {
                let kept = u128::MAX.checked_shl(128 - u32::from(self.ipv6_prefix.min(128))).unwrap_or(0);
                (6, Ipv6Addr::from_bits(client.to_bits() & kept))
            }
        };
        let bytes = [family].into_iter().chain(network.octets());
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Flow { client: SessionDigest::of(seed, &key), named: None }
    }

    /// The client of a name. Nobody's name is anybody's address.
    pub fn by_name(&self, of: ClientName, name: &[u8], seed: &HashSeed) -> Flow {
        let of: &[u8] = match of {
            ClientName::TlsServerName => b"tls server name\0",
            ClientName::RdpCookie => b"rdp cookie\0",
            ClientName::MqttClientId => b"mqtt client id\0",
        };
        Flow { client: SessionDigest::of(seed, &[of, name].concat()), named: None }
    }
}

impl Flow {
    /// The key of the flow table.
    pub fn digest(&self) -> &SessionDigest {
        &self.client
    }

    /// The same client, with a connection id that a backend has made. That backend's word stands before what is known of the address,
    /// which others may have had, and teaches nothing about it: who has such an id might show it from any address.
    pub fn with_connection_id_of(self, backend: BackendTag) -> Self {
        Self { named: Some(backend), ..self }
    }

    /// What to ask other replicas before it is decided; `None`: what is known here is good enough.
    pub fn unsure(&self, policy: &Policy, pool: &Pool, now: Now) -> Option<Unsure> {
        let named = self.named.and_then(|home| pool.backend(pool.find_tag(home)?));
        if named.is_some_and(|home| home.takes_existing(now, true)) {
            return None;
        }
        unsure_of([self.client].into_iter().collect(), policy, pool, now)
    }

    /// Decides where the client goes.
    pub fn decide(&self, policy: &Policy, pool: &Pool, at: Circumstance) -> Verdict {
        let key = self.client.ring_key();
        if let Some(verdict) = self.named.and_then(|home| at_home(pool, home, Reason::Route, at)) {
            return verdict;
        }
        match policy.mode {
            Mode::Bind => {}
            Mode::Hash => return to_successor(pool, key, Reason::Hash, at),
            Mode::None => {
                return to_newcomers_choice(pool, at.draw, pool.place(at.draw, at.now, at.draw), at);
            }
        }
        let Some(home) = policy.learned.find(&self.client, at.now) else {
            return self.first_choice(policy, pool, at);
        };
        if let Some(verdict) = at_home(pool, home, Reason::Learned, at) {
            return verdict;
        }
        if !policy.moves {
            return Verdict::Refuse(Refusal::LostBackend);
        }
        to_successor(pool, key, Reason::Moved, at)
    }

    fn first_choice(&self, policy: &Policy, pool: &Pool, at: Circumstance) -> Verdict {
        let key = self.client.ring_key();
        let choice = match pool.algorithm() {
            // Without a bound on the load, so that replicas agree without a word.
            Algorithm::ConsistentHash => pool.first_with_room(key, at.now),
            Algorithm::RoundRobin | Algorithm::Random | Algorithm::LeastConnections => {
                let welcome = |index: &BackendIndex| pool.welcomes(*index, at.now);
                let remembered = policy.contacts.find(key, at.now).filter(welcome);
                remembered.or_else(|| pool.place(key, at.now, at.draw))
            }
        };
        to_newcomers_choice(pool, key, choice, at)
    }

    /// Remembers a choice whose connection is about to be made, so that parallel ones agree.
    pub fn chosen(&self, decision: &Decision, policy: &Policy, now: Now) {
        if decision.reason == Reason::New && policy.mode == Mode::Bind {
            policy.contacts.note(self.client.ring_key(), decision.backend, now);
        }
    }

    /// The client's address can be believed after all: it went on after an answer that it could not have seen otherwise.
    pub fn proven(&self, backend: BackendTag, policy: &Policy, now: Now) {
        // Unless it has moved meanwhile.
        if policy.mode == Mode::Bind && policy.learned.peek(&self.client, now) == Some(backend) {
            policy.learned.learn(&self.client, backend, Origin::Application, now);
        }
    }

    /// Remembers that the client is served there, and says what that means. `origin`: whether its address is proven.
    pub fn note(
        &self,
        decision: &Decision,
        policy: &Policy,
        pool: &Pool,
        origin: Origin,
        now: Now,
    ) -> FlowNote {
        let kept = FlowNote { outcome: Outcome::Kept, moved_from: None };
        let (Mode::Bind, Some(backend)) = (policy.mode, pool.backend(decision.backend)) else { return kept };
        match decision.reason {
            Reason::New => {
                pool.note_assigned(decision.backend);
                // Of parallel first connections, the first one that stands has decided.
                if policy.learned.peek(&self.client, now).is_some() {
                    return kept;
                }
                policy.learned.learn(&self.client, backend.tag(), origin, now);
                FlowNote { outcome: Outcome::Started, moved_from: None }
            }
            Reason::Moved if policy.fails_back => kept,
            Reason::Moved => {
                let moved_from = policy.learned.peek(&self.client, now);
                if moved_from == Some(backend.tag()) {
                    return kept;
                }
                policy.learned.learn(&self.client, backend.tag(), origin, now);
                FlowNote { outcome: Outcome::Moved, moved_from }
            }
            Reason::Route | Reason::LbCookie | Reason::Learned | Reason::Conflict | Reason::Hash => kept,
        }
    }
}

/// To the backend where the client is at home, after a wait for the probe where that one is suspect; `None`: it is gone.
fn at_home(pool: &Pool, home: BackendTag, reason: Reason, at: Circumstance) -> Option<Verdict> {
    let index = pool.find_tag(home)?;
    let backend = pool.backend(index)?;
    if backend.takes_existing(at.now, at.held) {
        return Some(to(Some(index), reason));
    }
    (backend.is_suspect(at.now) && backend.takes_existing(at.now, true)).then_some(Verdict::Hold(index))
}

/// To the backend that was chosen for a new client. Where nobody is up, but somebody may be, that is worth a wait.
fn to_newcomers_choice(pool: &Pool, key: u64, choice: Option<BackendIndex>, at: Circumstance) -> Verdict {
    match choice {
        Some(_) => to(choice, Reason::New),
        None => to_successor(pool, key, Reason::New, at),
    }
}

/// To the consistent hash's choice, after a wait for the probe where that one is suspect.
fn to_successor(pool: &Pool, key: u64, reason: Reason, at: Circumstance) -> Verdict {
    match pool.successor(key, at.now) {
        Some(suspect) if must_wait(pool, suspect, at) => Verdict::Hold(suspect),
        successor => to(successor, reason),
    }
}

fn to(backend: Option<BackendIndex>, reason: Reason) -> Verdict {
    match backend {
        Some(backend) => Verdict::To(Decision { backend, reason, token: None }),
        None => Verdict::Refuse(Refusal::NoBackend),
    }
}
