//! The vocabulary that every room shares: ids, and the words for why a request went where it went.
//!
//! A leaf: it uses nothing of ours, and any room may use it.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod backend_address;
mod listen_address;
mod log_field;

pub use backend_address::BackendAddress;
pub use listen_address::ListenAddress;
pub use log_field::LogField;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as the configuration writes it.
            pub fn new(name: &str) -> Self {
                Self(Arc::from(name))
            }

            /// The name as the configuration writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|name| Self::new(&name))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A backend's stable id: independent of its address, unique in its pool.
    BackendId
}
name! {
    /// The name of a pool.
    PoolName
}
name! {
    /// The name of a listener.
    ListenerName
}

/// A backend's place in its pool's list; valid for one [`Pool`](crate::pool::Pool) value only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendIndex(pub u16);

impl BackendIndex {
    /// The position as an index into a slice of the pool's backends.
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// A digest of a [`BackendId`]: what tokens carry and the ring is built from, of constant length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendTag(pub u64);

/// How often a backend is known to have lost its memory; tokens of an earlier epoch no longer hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub u16);

/// Why a request went to its backend: the words of the log, the metrics and `steadfast explain`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The application cookie's route suffix names the backend.
    Route,
    /// A load-balancer cookie names the backend.
    LbCookie,
    /// The learned table knows the session id.
    Learned,
    /// A load-balancer cookie names the backend, but it was issued for other session ids.
    Conflict,
    /// Nothing knows the session id: consistent hash of it, a guess.
    Hash,
    /// The backend that held the session is gone: the one successor that every replica chooses.
    Moved,
    /// No evidence of a session.
    New,
}

impl Reason {
    /// Every reason, strongest evidence first.
    pub const ALL: [Self; 7] =
        [Self::Route, Self::LbCookie, Self::Learned, Self::Conflict, Self::Hash, Self::Moved, Self::New];

    /// The word that log, metrics and explain use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::LbCookie => "lb_cookie",
            Self::Learned => "learned",
            Self::Conflict => "conflict",
            Self::Hash => "hash",
            Self::Moved => "moved",
            Self::New => "new",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened to a request's session: the words of the log, the metrics and the session book.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Outcome {
    /// Nothing: it is where it was, or there is none.
    #[default]
    Kept,
    /// The application started one.
    Started,
    /// The client was given a token, without a new session id.
    Bound,
    /// The application replaced the session id at home: its state lives on.
    Rotated,
    /// Its backend is gone, and it was bound to the successor.
    Moved,
    /// Its backend was gone, and the application started a new one.
    LostAfterMove,
    /// Nothing proved where it lived, and the application started a new one.
    LostNoProof,
    /// Its backend restarted without a failed check, and the application started a new one.
    LostAtHome,
    /// The application ended it.
    Released,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 9] = [
        Self::Kept,
        Self::Started,
        Self::Bound,
        Self::Rotated,
        Self::Moved,
        Self::LostAfterMove,
        Self::LostNoProof,
        Self::LostAtHome,
        Self::Released,
    ];

    /// The word that log, metrics and the session book use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Started => "started",
            Self::Bound => "bound",
            Self::Rotated => "rotated",
            Self::Moved => "moved",
            Self::LostAfterMove => "lost_after_move",
            Self::LostNoProof => "lost_no_proof",
            Self::LostAtHome => "lost_at_home",
            Self::Released => "released",
        }
    }
}
/// A version of the PROXY protocol, as it is written to backends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
}
