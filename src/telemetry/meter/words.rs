//! Words of what is counted for a pool before a backend is known.

/// Why a request was refused before it came to a backend.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Turned {
    /// No backend takes new sessions.
    NoBackend,
    /// The session's backend is gone, and it may not move.
    LostBackend,
    /// The backend and its queue are full, or the wait was too long.
    Full,
}

impl Turned {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::NoBackend, Self::LostBackend, Self::Full];

    /// The word that metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoBackend => "no_backend",
            Self::LostBackend => "lost_backend",
            Self::Full => "full",
        }
    }

    pub(super) fn place(self) -> usize {
        match self {
            Self::NoBackend => 0,
            Self::LostBackend => 1,
            Self::Full => 2,
        }
    }
}

/// Why a token counted as absent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenFault {
    /// It has not the one length that tokens have.
    Length,
    /// It is not URL-safe base64.
    Encoding,
    /// Its version or its key is unknown.
    UnknownKey,
    /// No key opens it.
    Forged,
    /// It is too old, or from the future.
    Expired,
}

impl TokenFault {
    /// Every fault.
    pub const ALL: [Self; 5] = [Self::Length, Self::Encoding, Self::UnknownKey, Self::Forged, Self::Expired];

    /// The word that metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Encoding => "encoding",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::Expired => "expired",
        }
    }

    pub(super) fn place(self) -> usize {
        match self {
            Self::Length => 0,
            Self::Encoding => 1,
            Self::UnknownKey => 2,
            Self::Forged => 3,
            Self::Expired => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_lists() {
        assert!(Turned::ALL.iter().enumerate().all(|(at, turned)| turned.place() == at));
        assert!(TokenFault::ALL.iter().enumerate().all(|(at, fault)| fault.place() == at));
    }
}
