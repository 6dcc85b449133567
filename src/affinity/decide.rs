//! The decision: which backend serves a request, and why. Pure; runs once per request.
//!
//! The first evidence that names a backend which may take existing sessions wins, strongest first. Evidence
//! that names a backend that is gone leads to the one successor that every replica chooses.

use super::evidence::{Evidence, PresentedId};
use super::policy::{FirstContact, Mode, Policy};
use super::token::Token;
use crate::clock::Now;
use crate::names::{BackendIndex, BackendTag, Reason};
use crate::pool::Pool;

/// Where a request goes, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The backend that serves it.
    pub backend: BackendIndex,
    /// Why.
    pub reason: Reason,
    /// The token whose session this is: keeps its seed and attributes when the session is bound anew.
    pub token: Option<Token>,
}

/// What is to be done with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Send it to this backend.
    To(Decision),
    /// Its session lives on this suspect backend, or has to move there: wait for the probe, for a bounded time, then
    /// decide again.
    Hold(BackendIndex),
    /// There is nobody to send it to.
    Refuse(Refusal),
}

/// Why a request is answered with 503.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No backend takes new sessions.
    NoBackend,
    /// The backend that held the session is gone, and `on_lost_backend` is `fail`.
    LostBackend,
    /// The backend is full, and its queue is, too, or the wait was too long.
    Full,
}

impl Refusal {
    /// The word of log, metrics and explain.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoBackend => "no_backend",
            Self::LostBackend => "lost_backend",
            Self::Full => "full",
        }
    }
}

/// What the shell adds to the evidence: the moment, a random number, and whether it has waited already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Circumstance {
    /// The time of the request.
    pub now: Now,
    /// Random, for algorithms that draw.
    pub draw: u64,
    /// Whether the request has already been held for a suspect backend.
    pub held: bool,
}

/// Whether a request follows the decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// It does: what is looked up counts as used, and turns are taken.
    Route,
    /// Somebody asks: nothing changes.
    Look {
        /// As if this one were gone.
        without: Option<BackendIndex>,
    },
}

impl Purpose {
    fn rules_out(self, index: BackendIndex) -> bool {
        self == Self::Look { without: Some(index) }
    }

    fn learned(self, policy: &Policy, id: &PresentedId, now: Now) -> Option<BackendTag> {
        match self {
            Self::Route => policy.learned.find(&id.digest, now),
            Self::Look { .. } => policy.learned.peek(&id.digest, now),
        }
    }

    fn successor(self, pool: &Pool, key: u64, now: Now) -> Option<BackendIndex> {
        match self {
            Self::Look { without: Some(gone) } => pool.successor_without(gone, key, now),
            Self::Route | Self::Look { without: None } => pool.successor(key, now),
        }
    }

    fn place(self, pool: &Pool, key: u64, at: Circumstance) -> Option<BackendIndex> {
        match self {
            Self::Route => pool.place(key, at.now, at.draw),
            Self::Look { without } => pool.would_place(key, at.now, at.draw, without),
        }
    }
}

/// One piece of evidence: its reason, the backend that it names, and what it is.
pub(super) struct Clue<'e> {
    pub(super) reason: Reason,
    pub(super) names: Home,
    /// The token whose session this is.
    pub(super) token: Option<&'e Token>,
    /// The session id, where that names the backend.
    pub(super) id: Option<&'e PresentedId>,
}

/// The backend that a piece of evidence names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Home {
    Known(BackendIndex),
    /// The pool has no such backend any more, or it has lost its memory since.
    Gone,
}

/// Decides where a request goes. What it looks up counts as used: for a request that follows.
pub fn decide(evidence: &Evidence, policy: &Policy, pool: &Pool, at: Circumstance) -> Verdict {
    decide_for(Purpose::Route, evidence, policy, pool, at)
}

/// Where a request would go: the very same, and nothing changes by asking.
pub fn foresee(evidence: &Evidence, policy: &Policy, pool: &Pool, at: Circumstance) -> Verdict {
    decide_for(Purpose::Look { without: None }, evidence, policy, pool, at)
}

/// The one decision, for a request and for whoever only asks.
pub(super) fn decide_for(
    purpose: Purpose,
    evidence: &Evidence,
    policy: &Policy,
    pool: &Pool,
    at: Circumstance,
) -> Verdict {
    match policy.mode {
        Mode::Bind => {}
        Mode::Hash => return by_hash(purpose, evidence, pool, at),
        Mode::None => return first_choice(purpose, evidence, policy, pool, at),
    }
    let mut lost = None;
    for clue in clues(purpose, evidence, policy, pool, at.now) {
        if let Home::Known(home) = clue.names
            && !purpose.rules_out(home)
        {
            let Some(backend) = pool.backend(home) else { continue };
            if backend.takes_existing(at.now, at.held) {
                return Verdict::To(Decision {
                    backend: home,
                    reason: clue.reason,
                    token: clue.token.cloned(),
                });
            }
            if backend.is_suspect(at.now) && backend.takes_existing(at.now, true) {
                return Verdict::Hold(home);
            }
        }
        lost.get_or_insert(clue.token);
    }
    if lost.is_some() && !policy.moves {
        return Verdict::Refuse(Refusal::LostBackend);
    }
    let session = evidence.ids.first();
    match (lost, session) {
        // The seed outlives the session ids, so it comes first wherever there is a token at all.
        (Some(token), _) => {
            let token = token.or_else(|| newest(evidence.tokens.iter()));
            let key = match (token, session) {
                (Some(token), _) => token.seed.ring_key(pool.seed()),
                (None, Some(id)) => id.digest.ring_key(),
                (None, None) => evidence.contact.key,
            };
            to_successor(purpose, pool, key, (Reason::Moved, token), at)
        }
        (None, Some(id)) => to_successor(purpose, pool, id.digest.ring_key(), (Reason::Hash, None), at),
        (None, None) => first_choice(purpose, evidence, policy, pool, at),
    }
}

/// All evidence, strongest first.
pub(super) fn clues<'e>(
    purpose: Purpose,
    evidence: &'e Evidence,
    policy: &'e Policy,
    pool: &'e Pool,
    now: Now,
) -> impl Iterator<Item = Clue<'e>> {
    let routes = evidence.ids.iter().filter_map(|id| {
        let backend = id.route?;
        Some(Clue {
            reason: Reason::Route,
            names: Home::Known(backend),
            token: vouching(evidence, id),
            id: Some(id),
        })
    });
    let by_token = |reason| {
        move |token: &'e Token| Clue { reason, names: home(token, pool), token: Some(token), id: None }
    };
    let proven = newest(evidence.tokens.iter().filter(|token| vouches(token, evidence)))
        .map(by_token(Reason::LbCookie));
    let learned = evidence.ids.iter().filter_map(move |id| {
        let tag = purpose.learned(policy, id, now)?;
        Some(Clue {
            reason: Reason::Learned,
            names: known(tag, pool),
            token: vouching(evidence, id),
            id: Some(id),
        })
    });
    let unproven = || evidence.tokens.iter().filter(|token| !vouches(token, evidence));
    let bare = newest(unproven().filter(|token| token.fingerprints.is_empty() || evidence.ids.is_empty()))
        .map(by_token(Reason::LbCookie));
    let conflicting =
        newest(unproven().filter(|token| !token.fingerprints.is_empty() && !evidence.ids.is_empty()))
            .map(by_token(Reason::Conflict));
    routes.chain(proven).chain(learned).chain(bare).chain(conflicting)
}

pub(super) fn vouches(token: &Token, evidence: &Evidence) -> bool {
    evidence.ids.iter().any(|id| token.vouches_for(&id.digest))
}

fn vouching<'e>(evidence: &'e Evidence, id: &PresentedId) -> Option<&'e Token> {
    evidence.tokens.iter().find(|token| token.vouches_for(&id.digest))
}

pub(super) fn newest<'e>(tokens: impl Iterator<Item = &'e Token>) -> Option<&'e Token> {
    tokens.max_by_key(|token| (token.seen_s, token.seed.0))
}

fn known(tag: BackendTag, pool: &Pool) -> Home {
    pool.find_tag(tag).map_or(Home::Gone, Home::Known)
}

fn home(token: &Token, pool: &Pool) -> Home {
    match pool.find_tag(token.backend) {
        // The learned table needs no epochs: what it knows of a lost session leads to the empty backend once, and is
        // replaced by the session that begins there.
        Some(index)
            if pool
                .backend(index)
                .is_some_and(|backend| !backend.live().has_lost(token.epoch, token.seen_s)) =>
        {
            Home::Known(index)
        }
        Some(_) | None => Home::Gone,
    }
}

fn by_hash(purpose: Purpose, evidence: &Evidence, pool: &Pool, at: Circumstance) -> Verdict {
    match evidence.ids.first() {
        Some(id) => to_successor(purpose, pool, id.digest.ring_key(), (Reason::Hash, None), at),
        None => {
            let key = evidence.contact.key;
            to_newcomers_choice(purpose, pool, key, purpose.place(pool, key, at), at)
        }
    }
}

fn first_choice(
    purpose: Purpose,
    evidence: &Evidence,
    policy: &Policy,
    pool: &Pool,
    at: Circumstance,
) -> Verdict {
    let takes_new = |index: &BackendIndex| pool.welcomes(*index, at.now) && !purpose.rules_out(*index);
    let contact = &evidence.contact;
    let key = match (policy.mode, policy.first_contact) {
        (Mode::None, _) | (_, FirstContact::Balance) => {
            return to_newcomers_choice(purpose, pool, at.draw, purpose.place(pool, at.draw, at), at);
        }
        (_, FirstContact::Client | FirstContact::Connection) => contact.key,
    };
    let remembered = || policy.contacts.find(key, at.now).filter(takes_new);
    let choice = contact
        .preferred(policy)
        .filter(takes_new)
        .or_else(remembered)
        .or_else(|| purpose.place(pool, key, at));
    to_newcomers_choice(purpose, pool, key, choice, at)
}

/// To the backend that was chosen for a new session. Where nobody is up, but somebody may be, that is worth a wait.
fn to_newcomers_choice(
    purpose: Purpose,
    pool: &Pool,
    key: u64,
    choice: Option<BackendIndex>,
    at: Circumstance,
) -> Verdict {
    match choice {
        Some(_) => to(choice, Reason::New, None),
        None => to_successor(purpose, pool, key, (Reason::New, None), at),
    }
}

/// To the consistent hash's choice, after a wait for the probe where that one is suspect.
fn to_successor(
    purpose: Purpose,
    pool: &Pool,
    key: u64,
    (reason, token): (Reason, Option<&Token>),
    at: Circumstance,
) -> Verdict {
    let successor = purpose.successor(pool, key, at.now);
    match successor.filter(|index| must_wait(pool, *index, at)) {
        Some(suspect) => Verdict::Hold(suspect),
        None => to(successor, reason, token),
    }
}

/// Whether a request has to wait for the probe of a suspect backend.
pub(super) fn must_wait(pool: &Pool, index: BackendIndex, at: Circumstance) -> bool {
    !at.held && pool.backend(index).is_some_and(|backend| backend.is_suspect(at.now))
}

fn to(backend: Option<BackendIndex>, reason: Reason, token: Option<&Token>) -> Verdict {
    match backend {
        Some(backend) => Verdict::To(Decision { backend, reason, token: token.cloned() }),
        None => Verdict::Refuse(Refusal::NoBackend),
    }
}

/// What follows from a decision for the next ones: counted and remembered by the shell once it stands.
pub fn note(decision: &Decision, evidence: &Evidence, policy: &Policy, pool: &Pool, now: Now) {
    if decision.reason == Reason::New {
        pool.note_assigned(decision.backend);
        if policy.first_contact == FirstContact::Client {
            policy.contacts.note(evidence.contact.key, decision.backend, now);
        }
    }
}
