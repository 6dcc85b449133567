//! The binding: what is added to a response so that the next request will carry evidence. Pure.
//!
//! Runs on final responses of the backend and on 101; never on our own answers.

use arrayvec::ArrayVec;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::attributes;
use super::caching;
use super::decide::Decision;
use super::evidence::{Evidence, PresentedId, Source};
use super::learned::Origin;
use super::path_parameter::path_values;
use super::policy::{Insert, Mode, Policy};
use super::session::{Fingerprint, SessionDigest, SessionSeed};
use super::set_cookie::{self, Keeps, SetCookie};
use super::testimony::Testimony;
use super::token::{Flags, MAX_FINGERPRINTS, Token};
use crate::clock::Now;
use crate::names::{BackendTag, Epoch, Outcome, Reason};
use crate::pool::{Backend, Pool, Replacement, Restart};

/// What affinity sees of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields, as the backend sent them.
    pub headers: &'a HeaderMap,
    /// Whether it answers a CORS preflight: no cookie belongs on that.
    pub preflight: bool,
    /// Whether the client's connection is secure.
    pub secure: bool,
}

/// Random bytes that one binding may need.
#[derive(Clone, Copy, Debug)]
pub struct Entropy {
    /// The token's nonce.
    pub nonce: [u8; 12],
    /// The seed of a session that has none yet.
    pub seed: u64,
}

/// Session ids that one response may start.
const MAX_STARTED: usize = 4;

/// What is added to a response, and what is remembered of it.
#[derive(Debug, Default)]
pub struct Binding {
    /// A `Set-Cookie` line of ours, to be appended behind the application's own.
    pub set_cookie: Option<HeaderValue>,
    /// The `Cache-Control` that keeps shared caches from storing it, where the response's own does not.
    pub cache_control: Option<HeaderValue>,
    /// What happened to the session.
    pub outcome: Outcome,
    learn: ArrayVec<(SessionDigest, Origin), 8>,
    retire: ArrayVec<SessionDigest, MAX_STARTED>,
    forget: ArrayVec<SessionDigest, 8>,
    backend: Option<BackendTag>,
    testimony: Testimony,
    /// The session that the client came back with in a token, and that this backend holds now.
    returns: Option<SessionSeed>,
    presented: Option<SessionDigest>,
    moved_from: Option<BackendTag>,
}

impl Binding {
    /// Enters what was learned into the table. Before the response leaves, so that an answer to it finds it.
    pub fn remember(&self, policy: &Policy, now: Now) {
        let Some(backend) = self.backend else { return };
        for session in &self.forget {
            policy.learned.forget(session);
        }
        for session in &self.retire {
            policy.learned.retire(session, now);
        }
        for (session, origin) in &self.learn {
            policy.learned.learn(session, backend, *origin, now);
        }
    }

    /// The session id that the application set, if the request did not present it.
    pub fn started(&self) -> Option<SessionDigest> {
        let started = self.learn.iter().find(|(_, origin)| *origin == Origin::Application);
        started
            .map(|(session, _)| *session)
            .filter(|_| self.outcome != Outcome::Kept && self.outcome != Outcome::Moved)
    }

    /// Tells the backend's live state what the response says of its memory; a rotation may turn out to be a loss.
    /// Gives the restart that this response was the last proof of.
    pub fn testify(&mut self, backend: &Backend, now: Now) -> Option<Restart> {
        let replacement = self.testimony.give(backend.live(), now)?;
        match replacement {
            Replacement::Rotated => None,
            Replacement::Lost => {
                self.outcome = Outcome::LostAtHome;
                None
            }
            Replacement::Restarted(restart) => {
                self.outcome = Outcome::LostAtHome;
                Some(restart)
            }
        }
    }

    /// The seed of a session that came back and that only its token knows; a client that never sends its token back
    /// has no session. For one that the learned table knows, too, this counts as use, so that a session in use is not
    /// forgotten there while its token alone leads it home.
    pub fn only_in_token(&self, policy: &Policy, now: Now) -> Option<SessionSeed> {
        let (seed, backend) = (self.returns?, self.backend?);
        let learns = self.learn.iter().any(|(_, origin)| *origin == Origin::Application);
        let learned =
            learns || self.presented.is_some_and(|session| policy.learned.used(&session, backend, now));
        (!learned).then_some(seed)
    }

    /// The backend's tag that a moved session's token named before.
    pub fn moved_from(&self) -> Option<BackendTag> {
        self.moved_from
    }

    /// Ids that the application replaced.
    pub(super) fn retired(&self) -> &[SessionDigest] {
        &self.retire
    }

    /// Ids of sessions that are over.
    pub(super) fn forgotten(&self) -> &[SessionDigest] {
        &self.forget
    }
}

/// What the application's own `Set-Cookie` lines say about the session.
#[derive(Default)]
struct Said<'a> {
    started: ArrayVec<(SetCookie<'a>, Source, SessionDigest), MAX_STARTED>,
    ended: ArrayVec<(SetCookie<'a>, Source), MAX_STARTED>,
}

/// Decides what a response needs so that the session's next request comes back to its backend.
pub fn bind(
    policy: &Policy,
    pool: &Pool,
    evidence: &Evidence,
    decision: &Decision,
    response: &ResponseView<'_>,
    now: Now,
    entropy: impl FnOnce() -> Entropy,
) -> Binding {
    let mut binding = Binding::default();
    let informational =
        response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS;
    if policy.mode != Mode::Bind || informational || response.preflight {
        return binding;
    }
    let Some(backend) = pool.backend(decision.backend) else { return binding };
    binding.backend = Some(backend.tag());
    let bound = Bound { policy, evidence, decision, response, now, home: backend };
    let said = said(policy, pool, response, now);
    binding.presented = evidence.ids.first().map(|id| id.digest);

    let cookie = if !said.started.is_empty() {
        bound.started(&said, &mut binding, entropy)
    } else if !said.ended.is_empty() {
        bound.ended(&said, &mut binding, entropy)
    } else {
        bound.unsaid(pool, &mut binding, entropy)
    };
    if cookie.is_some() || !said.started.is_empty() {
        binding.cache_control = caching::made_private(response.headers);
    }
    binding.returns = match (binding.outcome, &cookie) {
        (Outcome::Released, _) => None,
        // The session that moves, is renamed or refreshed keeps its seed.
        (_, Some(_)) => decision.token.as_ref().map(|token| token.seed),
        (_, None) => bound.held_token().map(|token| token.seed),
    };
    binding.set_cookie = cookie;
    if let Some(token) = decision.token.as_ref().filter(|_| decision.reason == Reason::Moved) {
        binding.moved_from = Some(token.backend);
        let before = pool.find_tag(token.backend).and_then(|index| pool.backend(index));
        let restarted = before.is_some_and(|before| before.live().has_lost(token.epoch, token.seen_s));
        if restarted && binding.outcome == Outcome::LostAfterMove {
            // It moved because its backend, which is up, had forgotten it.
            binding.outcome = Outcome::LostAtHome;
        }
    }
    binding.testimony = bound.testimony(&binding);
    binding
}

/// Everything that the rules look at.
pub(super) struct Bound<'a> {
    pub(super) policy: &'a Policy,
    pub(super) evidence: &'a Evidence,
    pub(super) decision: &'a Decision,
    pub(super) response: &'a ResponseView<'a>,
    pub(super) now: Now,
    /// The backend that answers.
    pub(super) home: &'a Backend,
}

impl Bound<'_> {
    /// The application set its session cookie: first, rotated, or the same again.
    fn started(
        &self,
        said: &Said<'_>,
        binding: &mut Binding,
        entropy: impl FnOnce() -> Entropy,
    ) -> Option<HeaderValue> {
        let mut fingerprints = ArrayVec::<Fingerprint, 8>::new();
        let mut all_known = true;
        for (_, source, digest) in &said.started {
            binding.learn.push((*digest, Origin::Application));
            fingerprints.push(digest.fingerprint());
            if self.evidence.ids.iter().any(|id| id.digest == *digest) {
                continue;
            }
            all_known = false;
            if let Some(replaced) = self.only_id_from(*source) {
                binding.retire.push(replaced.digest);
            }
        }
        let presented =
            self.evidence.ids.iter().any(|id| matches!(id.source, Source::Cookie(_) | Source::Path));
        binding.outcome = match (all_known, presented, self.decision.reason) {
            (true, _, Reason::Moved) => Outcome::Moved,
            (true, ..) => Outcome::Kept,
            (false, false, _) => Outcome::Started,
            (false, true, Reason::Moved) => Outcome::LostAfterMove,
            (false, true, Reason::Hash | Reason::Conflict) => Outcome::LostNoProof,
            (false, true, Reason::Route | Reason::LbCookie | Reason::Learned | Reason::New) => {
                Outcome::Rotated
            }
        };
        // Other contexts' sessions stay vouched for; the replaced id needs no voucher any more.
        let retired: ArrayVec<Fingerprint, MAX_STARTED> =
            binding.retire.iter().map(SessionDigest::fingerprint).collect();
        self.keep_others(&mut fingerprints, &retired);
        if self
            .held_token()
            .is_some_and(|token| same_set(&token.fingerprints, &fingerprints) && !self.stale(token))
        {
            return None;
        }
        let (newest, ..) = said.started.first()?;
        self.issue(attributes::of_application(newest), fingerprints, entropy)
    }

    /// The application deleted its session cookie: the session is over.
    fn ended(
        &self,
        said: &Said<'_>,
        binding: &mut Binding,
        entropy: impl FnOnce() -> Entropy,
    ) -> Option<HeaderValue> {
        binding.outcome = Outcome::Released;
        let mut over = ArrayVec::<Fingerprint, MAX_STARTED>::new();
        let mut others_presented = false;
        for (_, source) in &said.ended {
            let mut presented = self.evidence.ids.iter().filter(|id| id.source == *source);
            match (presented.next(), presented.next()) {
                (Some(id), None) => {
                    binding.forget.push(id.digest);
                    over.push(id.digest.fingerprint());
                }
                // Several sessions of one cookie name, and no telling which one has ended.
                (Some(_), Some(_)) => others_presented = true,
                (None, _) => {}
            }
        }
        if !self.policy.releases_on_logout || !self.evidence.has_lb_cookie() || others_presented {
            return None;
        }
        let mut remaining = ArrayVec::<Fingerprint, 8>::new();
        self.keep_others(&mut remaining, &over);
        let (ended, _) = said.ended.first()?;
        if remaining.is_empty() {
            return attributes::deletion(
                &self.policy.cookie,
                self.flags(attributes::of_application(ended).flags),
                self.response.secure,
            );
        }
        // A session of another context lives on under the same load-balancer cookie.
        self.issue(self.kept_attributes(), remaining, entropy)
    }

    /// The response says nothing about a session.
    fn unsaid(
        &self,
        pool: &Pool,
        binding: &mut Binding,
        entropy: impl FnOnce() -> Entropy,
    ) -> Option<HeaderValue> {
        let failed = self.response.status.is_server_error();
        let started_by_url = self.learn_from_location(pool, binding);
        let moved = self.decision.reason == Reason::Moved && !self.policy.fails_back;
        if moved && failed {
            return None;
        }
        if !failed && (moved || self.decision.reason == Reason::Hash) {
            // The next request must come here whatever happens to the ring.
            self.learn_presented(binding);
        }
        if moved {
            binding.outcome = Outcome::Moved;
            if self.cookieless() && !self.evidence.has_lb_cookie() {
                return None;
            }
            return self.issue(self.kept_attributes(), self.current_fingerprints(), entropy);
        }
        if self.decision.reason == Reason::Moved {
            // `fail_back: always`: the token keeps naming the first backend.
            return None;
        }
        if let Some(token) = self.held_token() {
            return if self.stale(token) {
                self.issue(self.kept_attributes(), token.fingerprints.iter().copied().collect(), entropy)
            } else {
                None
            };
        }
        let led_back = match self.decision.reason {
            Reason::Route => true,
            // A table is one replica's: a client that takes cookies gets its token again.
            Reason::Learned => self.cookieless(),
            Reason::LbCookie | Reason::Conflict | Reason::Hash | Reason::Moved | Reason::New => false,
        } || started_by_url;
        let insert = match self.policy.cookie.insert {
            Insert::Always => true,
            Insert::WhenNeeded => !led_back,
            Insert::Never => false,
        };
        if !insert || failed || caching::may_be_shared(self.response) {
            return None;
        }
        binding.outcome = Outcome::Bound;
        self.issue(self.kept_attributes(), self.current_fingerprints(), entropy)
    }

    /// The token that the client holds and that leads here.
    fn held_token(&self) -> Option<&Token> {
        let here = |token: &&Token| {
            token.backend == self.home.tag() && !self.home.live().has_lost(token.epoch, token.seen_s)
        };
        self.decision.token.as_ref().filter(here).or_else(|| self.evidence.tokens.iter().find(here))
    }

    /// A replica may know of a restart that we have not seen: what it has raised stays.
    fn epoch_of(&self, before: Option<&Token>) -> Epoch {
        let known = before.filter(|token| token.backend == self.home.tag()).map(|token| token.epoch);
        self.home.epoch().max(known.unwrap_or_default())
    }

    /// Whether half of the token's idle time is over, so that it should be issued anew.
    fn stale(&self, token: &Token) -> bool {
        let age_s = self.now.unix_s.saturating_sub(u64::from(token.seen_s));
        let idle = self.policy.cookie.idle.map(|idle| idle.as_secs());
        let max_age = (token.max_age_min > 0).then(|| u64::from(token.max_age_min) * 60);
        idle.into_iter().chain(max_age).min().is_some_and(|limit| age_s > limit / 2)
    }

    /// The one presented id of a cookie: the one that a new value replaces.
    fn only_id_from(&self, source: Source) -> Option<&PresentedId> {
        let mut presented =
            self.evidence.ids.iter().filter(|id| id.source == source || id.source == Source::Path);
        presented.next().filter(|_| presented.next().is_none())
    }

    /// Adds what the client's token vouches for, except what is over. After a move, too: all of a client's
    /// sessions move together, or one token could not lead to them.
    fn keep_others(&self, fingerprints: &mut ArrayVec<Fingerprint, 8>, over: &[Fingerprint]) {
        let Some(token) = &self.decision.token else { return };
        for fingerprint in &token.fingerprints {
            if !over.contains(fingerprint) && !fingerprints.contains(fingerprint) && !fingerprints.is_full() {
                fingerprints.push(*fingerprint);
            }
        }
    }

    /// The presented ids first, then what the client's token vouched for already.
    fn current_fingerprints(&self) -> ArrayVec<Fingerprint, 8> {
        let mut fingerprints: ArrayVec<_, 8> =
            self.evidence.ids.iter().map(|id| id.digest.fingerprint()).collect();
        self.keep_others(&mut fingerprints, &[]);
        fingerprints
    }

    /// Whether the client presented its session id, but not in a cookie.
    fn cookieless(&self) -> bool {
        !self.evidence.ids.is_empty()
            && !self.evidence.ids.iter().any(|id| matches!(id.source, Source::Cookie(_)))
    }

    fn learn_presented(&self, binding: &mut Binding) {
        for id in &self.evidence.ids {
            if !binding.learn.is_full() {
                binding.learn.push((id.digest, Origin::Client));
            }
        }
    }

    /// A redirect to `…;jsessionid=X` starts a session for a client without cookies.
    fn learn_from_location(&self, pool: &Pool, binding: &mut Binding) -> bool {
        let (Some(name), Some(target)) =
            (&self.policy.path_parameter, self.response.headers.get(header::LOCATION))
        else {
            return false;
        };
        let mut started = false;
        for id in path_values(target.as_bytes(), name).take(1) {
            let digest = SessionDigest::of(pool.seed(), id);
            binding.learn.push((digest, Origin::Application));
            started = !self.evidence.ids.iter().any(|known| known.digest == digest);
        }
        if started {
            binding.outcome = Outcome::Started;
        }
        started
    }

    /// The attributes that the client's token remembers of the application's cookie.
    fn kept_attributes(&self) -> attributes::Kept {
        match &self.decision.token {
            Some(token) => attributes::Kept { flags: token.flags, max_age_min: token.max_age_min },
            None => attributes::Kept::default(),
        }
    }

    fn flags(&self, application: Flags) -> Flags {
        self.decision.token.as_ref().map_or(application, |token| token.flags)
    }

    fn issue(
        &self,
        kept: attributes::Kept,
        fingerprints: ArrayVec<Fingerprint, 8>,
        entropy: impl FnOnce() -> Entropy,
    ) -> Option<HeaderValue> {
        if self.policy.cookie.insert == Insert::Never {
            return None;
        }
        let entropy = entropy();
        let now_s = u32::try_from(self.now.unix_s).unwrap_or(u32::MAX);
        let before = self.decision.token.as_ref();
        let token = Token {
            backend: self.home.tag(),
            epoch: self.epoch_of(before),
            seed: before.map_or(SessionSeed(entropy.seed), |token| token.seed),
            issued_s: before.map_or(now_s, |token| token.issued_s),
            seen_s: now_s,
            flags: kept.flags,
            max_age_min: kept.max_age_min,
            fingerprints: fingerprints.into_iter().take(MAX_FINGERPRINTS).collect(),
        };
        let sealed = self.policy.keys.seal(&token, &self.policy.binding, entropy.nonce);
        attributes::line(&self.policy.cookie, &sealed, kept, self.response.secure)
    }
}

fn said<'a>(policy: &Policy, pool: &Pool, response: &ResponseView<'a>, now: Now) -> Said<'a> {
    let mut said = Said::default();
    for line in response.headers.get_all(header::SET_COOKIE) {
        let Some(cookie) = set_cookie::parse(line.as_bytes(), now.unix_s) else { continue };
        let Some(at) = policy.application_cookies.iter().position(|name| **name == *cookie.name) else {
            continue;
        };
        let source = Source::Cookie(u8::try_from(at).unwrap_or(u8::MAX));
        if cookie.keeps == Keeps::Deleted {
            // A value set later in the same response revives it.
            if !said.ended.is_full() {
                said.ended.push((cookie, source));
            }
        } else {
            let digest = SessionDigest::of(pool.seed(), cookie.value);
            if said.started.is_full() {
                said.started.pop();
            }
            // The last line is what the browser keeps: it comes first.
            said.started.insert(0, (cookie, source, digest));
        }
    }
    said
}

fn same_set(held: &[Fingerprint], wanted: &[Fingerprint]) -> bool {
    wanted.iter().take(MAX_FINGERPRINTS).all(|fingerprint| held.contains(fingerprint))
}
