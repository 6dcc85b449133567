//! The explanation of a decision: each piece of evidence, what it is worth and why, the choice, and who would be next.
//!
//! The choice comes from the very function that routes requests, and so does the order of the evidence; this only
//! describes what that function looked at. Nothing changes by asking.

use super::decide::{
    Circumstance, Clue, Decision, Home, Purpose, Refusal, Verdict, clues, decide_for, newest, vouches,
};
use super::evidence::{Evidence, PresentedId, Source};
use super::policy::{FirstContact, Mode, Policy};
use super::token::Token;
use crate::names::{BackendIndex, Reason};
use crate::pool::{Algorithm, Pool, State};

/// Why a request goes where it goes.
#[derive(Debug)]
pub struct Explanation {
    /// Each piece of evidence, in words, strongest first.
    pub findings: Vec<Finding>,
    /// What was decided.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub because: String,
    /// Who would be next if the chosen backend were gone.
    pub runner_up: Option<BackendIndex>,
}

/// One piece of evidence, in words: without any secret, never a session id or a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// What it says.
    pub says: String,
    /// What it is worth.
    pub weight: Weight,
    /// Why it is worth that.
    pub why: String,
}

/// What a piece of evidence is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// It decides.
    Decides,
    /// It would, but its backend is suspect: the request waits for the probe.
    Holds,
    /// Accepted, but stronger evidence decides.
    Outranked,
    /// The backend that it names cannot serve the session.
    Unusable,
    /// It names no backend.
    Unknown,
    /// It counts as if it were not there.
    Absent,
}

impl Weight {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decides => "decides",
            Self::Holds => "holds",
            Self::Outranked => "outranked",
            Self::Unusable => "unusable",
            Self::Unknown => "unknown",
            Self::Absent => "absent",
        }
    }
}

/// Explains the decision for a request that would come now.
pub fn explain(evidence: &Evidence, policy: &Policy, pool: &Pool, at: Circumstance) -> Explanation {
    let verdict = decide_for(Purpose::Look { without: None }, evidence, policy, pool, at);
    explain_decided(verdict, evidence, policy, pool, at)
}

/// Explains a decision that was just made for a request.
pub fn explain_decided(
    verdict: Verdict,
    evidence: &Evidence,
    policy: &Policy,
    pool: &Pool,
    at: Circumstance,
) -> Explanation {
    let asked = Asked { evidence, policy, pool, at };
    let runner_up = match &verdict {
        Verdict::To(decision) => {
            let without = Purpose::Look { without: Some(decision.backend) };
            match decide_for(without, evidence, policy, pool, Circumstance { held: true, ..at }) {
                Verdict::To(next) => Some(next.backend),
                Verdict::Hold(_) | Verdict::Refuse(_) => None,
            }
        }
        Verdict::Hold(_) | Verdict::Refuse(_) => None,
    };
    Explanation { findings: asked.findings(&verdict), because: asked.because(&verdict), verdict, runner_up }
}

struct Asked<'a> {
    evidence: &'a Evidence,
    policy: &'a Policy,
    pool: &'a Pool,
    at: Circumstance,
}

impl Asked<'_> {
    fn findings(&self, verdict: &Verdict) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (mut ids, mut tokens) = (Vec::new(), Vec::new());
        if self.policy.mode == Mode::Bind {
            let mut settled = false;
            let look = Purpose::Look { without: None };
            for clue in clues(look, self.evidence, self.policy, self.pool, self.at.now) {
                match clue.id {
                    Some(id) => ids.push(id.digest),
                    None => tokens.extend(clue.token),
                }
                let (weight, why) = self.weigh(&clue, verdict, settled);
                settled |= matches!(weight, Weight::Decides | Weight::Holds);
                findings.push(Finding { what: self.what(&clue), says: self.says(&clue), weight, why });
            }
        }
        let hashed = matches!(verdict, Verdict::To(decision) if decision.reason == Reason::Hash);
        for (position, id) in self.evidence.ids.iter().enumerate() {
            if ids.contains(&id.digest) {
                continue;
            }
            let (weight, why) = match hashed && position == 0 {
                true => (Weight::Decides, "its consistent hash is all there is to go by: a guess"),
                false => (Weight::Unknown, "it names no backend"),
            };
            let says = "nothing here knows it".to_owned();
            findings.push(Finding { what: self.place(id), says, weight, why: why.to_owned() });
        }
        for token in self.evidence.tokens.iter().filter(|token| !tokens.contains(token)) {
            findings.push(Finding {
                what: "load-balancer cookie".to_owned(),
                says: self.token_says(token),
                weight: Weight::Outranked,
                why: "another one is newer".to_owned(),
            });
        }
        for refused in &self.evidence.refused {
            findings.push(Finding {
                what: "load-balancer cookie".to_owned(),
                says: "it does not open".to_owned(),
                weight: Weight::Absent,
                why: refused.to_string(),
            });
        }
        findings
    }

    fn weigh(&self, clue: &Clue<'_>, verdict: &Verdict, settled: bool) -> (Weight, String) {
        let Home::Known(home) = clue.names else {
            let why = match clue.token {
                Some(token) if clue.id.is_none() && self.pool.find_tag(token.backend).is_some() => {
                    "that backend has restarted since, and has lost it"
                }
                _ => "the pool has no such backend any more",
            };
            return (Weight::Unusable, why.to_owned());
        };
        match verdict {
            Verdict::To(decision)
                if !settled && decision.backend == home && decision.reason == clue.reason =>
            {
                (Weight::Decides, "the strongest evidence whose backend can serve the session".to_owned())
            }
            Verdict::Hold(held) if !settled && *held == home => {
                (Weight::Holds, "a connection to it has just failed: a probe is deciding".to_owned())
            }
            _ => match self.cannot_serve(home) {
                Some(why) => (Weight::Unusable, why),
                None => (Weight::Outranked, "stronger evidence decides".to_owned()),
            },
        }
    }

    /// Why a backend cannot serve its own sessions, if it cannot.
    fn cannot_serve(&self, home: BackendIndex) -> Option<String> {
        let backend = self.pool.backend(home)?;
        if backend.takes_existing(self.at.now, true) {
            return None;
        }
        let id = backend.id();
        Some(match backend.state(self.at.now) {
            State::Maintenance if backend.live().drain().is_over(self.at.now) => {
                format!("{id} has drained until its deadline")
            }
            State::Maintenance => format!("{id} is in maintenance"),
            State::Down => format!("{id} is down"),
            State::Up | State::Suspect | State::Draining => format!("{id} cannot serve it"),
        })
    }

    fn what(&self, clue: &Clue<'_>) -> String {
        clue.id.map_or_else(|| "load-balancer cookie".to_owned(), |id| self.place(id))
    }

    fn says(&self, clue: &Clue<'_>) -> String {
        let home = match clue.names {
            Home::Known(home) => self.name(home),
            Home::Gone => "a backend that is gone".to_owned(),
        };
        match (clue.reason, clue.token) {
            (Reason::Route, _) => format!("its route suffix names {home}"),
            (Reason::Learned, _) => format!("learned: {home}"),
            (_, Some(token)) => self.token_says(token),
            (_, None) => home,
        }
    }

    fn token_says(&self, token: &Token) -> String {
        let home = self
            .pool
            .find_tag(token.backend)
            .map_or_else(|| "a backend that is gone".to_owned(), |home| self.name(home));
        let whose = match token.fingerprints.is_empty() {
            _ if vouches(token, self.evidence) => "for this very session",
            true => "for a client without a session id",
            false if self.evidence.ids.is_empty() => "for a session that the request does not present",
            false => "for another session id",
        };
        format!("names {home}, {whose}")
    }

    fn name(&self, index: BackendIndex) -> String {
        match self.pool.backend(index) {
            Some(backend) => format!("{} ({})", backend.id(), backend.state(self.at.now).as_str()),
            None => "a backend that the pool does not have".to_owned(),
        }
    }

    fn place(&self, id: &PresentedId) -> String {
        match id.source {
            Source::Cookie(at) => {
                let name = self
                    .policy
                    .application_cookies
                    .get(usize::from(at))
                    .map(|name| String::from_utf8_lossy(name));
                format!("session id in cookie {}", name.unwrap_or_default())
            }
            Source::Path => "session id in the path".to_owned(),
            Source::Header => "session id in a header".to_owned(),
            Source::Query => "session id in the query".to_owned(),
            Source::Hook => "session id from a hook".to_owned(),
        }
    }

    fn because(&self, verdict: &Verdict) -> String {
        match verdict {
            Verdict::To(decision) => self.because_of(decision),
            Verdict::Hold(home) => {
                format!(
                    "it belongs to {}, to which a connection has just failed: it waits for the probe, then is decided again",
                    self.name(*home)
                )
            }
            Verdict::Refuse(Refusal::NoBackend) => "no backend of the pool takes new sessions".to_owned(),
            Verdict::Refuse(Refusal::LostBackend) => {
                "the backend that held its session is gone, and `on_lost_backend: fail` lets nothing move"
                    .to_owned()
            }
            Verdict::Refuse(Refusal::Full) => "its backend is full, and so is the queue".to_owned(),
        }
    }

    fn because_of(&self, decision: &Decision) -> String {
        let words = match decision.reason {
            Reason::Route => "the session id's own suffix names it, and that is the server's word",
            Reason::LbCookie => "the load-balancer cookie leads its session home",
            Reason::Learned => "the learned table knows where its session lives",
            Reason::Conflict => {
                "the load-balancer cookie was issued for another session id, but still says where the client belongs"
            }
            Reason::Hash => {
                "nothing knows its session id, so that the consistent hash of the id is the best guess"
            }
            Reason::Moved => {
                let by =
                    match (&decision.token, newest(self.evidence.tokens.iter()), self.evidence.ids.first()) {
                        (None, None, None) => "the client",
                        (None, None, Some(_)) => "the session id",
                        _ => "the session's seed",
                    };
                return format!(
                    "the backend that held its session is gone: every replica chooses this successor, by consistent hash of \
                     {by}"
                );
            }
            Reason::New => self.because_new(decision.backend),
        };
        words.to_owned()
    }

    fn because_new(&self, chosen: BackendIndex) -> &'static str {
        let balance = match self.pool.algorithm() {
            Algorithm::ConsistentHash => "it has no session yet: consistent hash, within the bounded load",
            Algorithm::RoundRobin => "it has no session yet: round robin's next turn",
            Algorithm::Random => "it has no session yet: drawn by weight",
            Algorithm::LeastConnections => {
                "it has no session yet: the fewest requests in flight for its weight"
            }
        };
        let (policy, contact) = (self.policy, &self.evidence.contact);
        match (policy.mode, policy.first_contact) {
            (Mode::None, _) => "there is no affinity here: each request goes by the balancing algorithm",
            (_, FirstContact::Balance) => balance,
            (_, FirstContact::Client | FirstContact::Connection)
                if contact.preferred(policy) == Some(chosen) =>
            {
                "it has no session yet: the first choice of its connection"
            }
            (_, FirstContact::Client | FirstContact::Connection)
                if policy.contacts.find(contact.key, self.at.now) == Some(chosen) =>
            {
                "it has no session yet: as another request of this client a moment ago"
            }
            (_, FirstContact::Client | FirstContact::Connection) => match self.pool.algorithm() {
                Algorithm::ConsistentHash => {
                    "it has no session yet: consistent hash of its address, user agent and host, within the bounded load"
                }
                Algorithm::RoundRobin | Algorithm::Random | Algorithm::LeastConnections => balance,
            },
        }
    }
}
