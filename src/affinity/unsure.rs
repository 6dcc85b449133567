//! Which requests are worth a question to the other replicas. Pure.
//!
//! Not those with a token, nor those whose session is known here for sure. A guess is no knowledge: an id that only
//! a client has named may have been guessed while nobody could be asked. And what is known may be out of date:
//! where its backend is gone, or was gone since the session was last used here, another replica may have moved
//! the session meanwhile. When that backend is gone, all replicas compute the same successor, so the answer rarely
//! differs; but not if a third backend has joined since the move, or the first one has come back.

use arrayvec::ArrayVec;

use super::evidence::{Evidence, MAX_IDS};
use super::learned::{Origin, Remembered};
use super::policy::{Mode, Policy};
use super::session::SessionDigest;
use crate::clock::Now;
use crate::pool::Pool;

/// The sessions of one request, of which none is known for sure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsure {
    /// Its session ids.
    pub ids: ArrayVec<SessionDigest, MAX_IDS>,
    /// Nobody has heard of any of them here: one may have started on another replica a moment ago.
    pub unheard: bool,
}

/// The sessions to ask for before the request is decided; `None`: what is known here is good enough.
pub fn unsure(evidence: &Evidence, policy: &Policy, pool: &Pool, now: Now) -> Option<Unsure> {
    let led = !evidence.tokens.is_empty() || evidence.ids.iter().any(|id| id.route.is_some());
    if policy.mode != Mode::Bind || led || evidence.ids.is_empty() {
        return None;
    }
    let mut unheard = true;
    for id in &evidence.ids {
        let Some(known) = policy.learned.recall(&id.digest, now) else { continue };
        if is_sure(&known, policy, pool, now) {
            return None;
        }
        unheard = false;
    }
    Some(Unsure { ids: evidence.ids.iter().map(|id| id.digest).collect(), unheard })
}

fn is_sure(known: &Remembered, policy: &Policy, pool: &Pool, now: Now) -> bool {
    let Some(home) = pool.find_tag(known.backend).and_then(|index| pool.backend(index)) else { return false };
    let idle_s = now.unix_s.saturating_sub(u64::from(policy.learned.last_used_s(known)));
    // Whole seconds: in doubt, it was away.
    let unused_ms = (idle_s + 1) * 1000;
    let was_away = home.live().up_since_ms().is_some_and(|up_since| now.ms_since(up_since) <= unused_ms);
    known.origin == Origin::Application && home.takes_existing(now, true) && !was_away
}
