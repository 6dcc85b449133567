//! What is counted of one request.

use std::time::Duration;

use crate::names::Reason;

/// The first digit of a response's status.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CodeClass {
    /// No response: the client left, or could not be told.
    None,
    /// 101.
    Informational,
    /// 2xx.
    Success,
    /// 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
}

impl CodeClass {
    /// Every class.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
    ];

    /// The class of a status.
    pub fn of(status: Option<u16>) -> Self {
        match status {
            Some(100..=199) => Self::Informational,
            Some(200..=299) => Self::Success,
            Some(300..=399) => Self::Redirection,
            Some(400..=499) => Self::ClientError,
            Some(500..=599) => Self::ServerError,
            Some(_) | None => Self::None,
        }
    }

    /// The word that metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }

    pub(super) fn place(self) -> usize {
        match self {
            Self::None => 0,
            Self::Informational => 1,
            Self::Success => 2,
            Self::Redirection => 3,
            Self::ClientError => 4,
            Self::ServerError => 5,
        }
    }
}

/// The place of a reason in a table.
pub(super) fn reason_place(reason: Reason) -> usize {
    match reason {
        Reason::Route => 0,
        Reason::LbCookie => 1,
        Reason::Learned => 2,
        Reason::Conflict => 3,
        Reason::Hash => 4,
        Reason::Moved => 5,
        Reason::New => 6,
    }
}

/// How a try failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailedTry {
    /// No connection could be made.
    Connect,
    /// The exchange broke off.
    Exchange,
    /// The backend did not answer in time.
    Timeout,
}

impl FailedTry {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Exchange, Self::Timeout];

    /// The word that metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Exchange => "exchange",
            Self::Timeout => "timeout",
        }
    }

    pub(super) fn place(self) -> usize {
        match self {
            Self::Connect => 0,
            Self::Exchange => 1,
            Self::Timeout => 2,
        }
    }
}

/// How long the phases of a request took; `None`: it had no such phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// From its arrival until it had a backend with a place for it: routing, holding and waiting.
    pub queue: Option<Duration>,
    /// To connect to the backend, where no kept connection was used.
    pub connect: Option<Duration>,
    /// From the connection to the head of the response.
    pub first_byte: Option<Duration>,
    /// From its arrival to its end.
    pub whole: Duration,
}

/// What one request came to at its backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measure {
    /// Why it went there.
    pub reason: Reason,
    /// What the client saw.
    pub class: CodeClass,
    /// Tries after the first.
    pub retries: u32,
    /// Bytes of its body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
    /// How long it took.
    pub times: Times,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_lists() {
        assert!(CodeClass::ALL.iter().enumerate().all(|(at, class)| class.place() == at));
        assert!(Reason::ALL.iter().enumerate().all(|(at, reason)| reason_place(*reason) == at));
        assert!(FailedTry::ALL.iter().enumerate().all(|(at, way)| way.place() == at));
    }

    #[test]
    fn a_class_is_the_first_digit() {
        let words = [None, Some(0), Some(101), Some(204), Some(302), Some(404), Some(503), Some(999)];
        let words = words.map(|status| CodeClass::of(status).as_str());
        assert_eq!(words, ["none", "none", "1xx", "2xx", "3xx", "4xx", "5xx", "none"]);
    }
}
