//! Whether a backend restarted without a failed check: judged by the sessions that it held. Pure.
//!
//! A restart takes all sessions at once, and the application starts new ones for them, which looks like a login's
//! new session id, many times over. Witnesses tell them apart: a bounded sample of sessions that the backend has
//! confirmed for a while, by answering them without a new id. What replaces a **mature** witness, still in use a
//! moment ago, is seldom a login, and never an idle session that has expired. The verdict falls when
//! - at least [`LOSSES`] witnesses were replaced within [`WINDOW_S`], and an eighth of those in use: a few who log in
//!   in the same second are none,
//! - they are half of all witnesses heard of since the first of them: some answers say nothing of the session, so
//!   not everybody who was answered is a survivor, but soon almost all are replaced,
//! - they are half of all that were in use lately; or, after [`PATIENCE_S`], nearly all of those heard of since, and
//!   not many more than are usually heard of in such a time. Many who log in at once while the others are silent look like a
//!   restart for a moment; but a restart brings nobody back sooner than they come anyway, and
//! - until then this was the exception: witnesses are confirmed [`LIFETIME`] times for each one that is replaced,
//!   and by what they used to do, not even a quarter would have been replaced by now.
//!
//! An application that replaces ids with each response, or every other minute, has no mature witnesses or too many
//! replaced ones: for it the detector stays silent. Rather silent than wrong, as silence harms nobody's session.
//!
//! **What an attack costs.** One client with one session, or with one that it presents again and again, is one
//! witness. To fake a restart, half of a backend's witnesses have to be the attacker's: as many real sessions in
//! the application as all users together have, in use for minutes, on a backend that he cannot choose (hashes are
//! keyed), then all logged in within a minute; and he spoils his baseline with it. **What a false alarm does:** a
//! wrong number in log and metrics, and sessions that only a token of an older epoch knows move, those from before
//! the boundary, which lies at his own older sessions. What this replica has learned stays at home in any case.
//! Flooding the sample hides restarts, which is where we would be without it.

use arrayvec::ArrayVec;

use crate::clock::Now;

/// Sessions that are watched; 8 KiB for each backend.
const WITNESSES: usize = 256;
/// A session id confirmed for this long is mature; also the least time between two that count.
const MATURE_S: u32 = 5;
/// Losses further apart are no restart.
const WINDOW_S: u32 = 60;
/// Witnesses that must be replaced.
const LOSSES: usize = 5;
/// Confirmations, each [`MATURE_S`] after the last, for each witness that was ever replaced.
const LIFETIME: u32 = 16;
/// How far above what is usual the losses must be.
const ABOVE_USUAL: u64 = 4;
/// Whoever was confirmed longer ago may have expired: shorter than any application's idle time.
const RECENT_S: u32 = 300;
/// Before so much time has passed since the first loss, silence of the others says nothing.
const PATIENCE_S: u32 = 5;
/// How many more than usual may come at once after a restart: whoever waited for it.
const AT_ONCE: (usize, usize) = (2, 6);
/// What is usual fades by half in this time.
const FADE_S: u32 = 1800;
/// Seconds whose replacements are counted apart.
const SECONDS: usize = WINDOW_S as usize + 4;

/// What the replacement of a session id meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replacement {
    /// The application renamed the session.
    Rotated,
    /// The session was lost in a restart that is known already.
    Lost,
    /// The last of many: the backend has restarted.
    Restarted(Restart),
}

/// A restart that no check has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restart {
    /// Sessions lost until now, this one included; each was called a rotation before.
    pub lost: u32,
    /// Seconds since the first of them.
    pub within_s: u32,
    /// Tokens issued before this moment, in seconds since 1970, are from before the restart.
    pub boundary_s: u32,
}

/// The witnesses of one backend.
#[derive(Debug)]
pub(super) struct Witnesses {
    sample: [Witness; WITNESSES],
    /// Ids replaced lately: a client that presents one again and again loses it once.
    replaced_ids: [u64; WITNESSES],
    /// Replacements of ids that were not fresh, by second.
    replacements: [(u32, u32); SECONDS],
    /// What is usual: confirmations of mature witnesses, and replacements.
    confirmed: u32,
    replaced: u32,
    faded_s: u32,
    /// When the last restart was first felt.
    felt: Option<Felt>,
}

#[derive(Clone, Copy, Debug)]
struct Felt {
    at_s: u32,
    unix_s: u32,
}

/// A session in the sample. Times are seconds on the monotonic clock; 0: never.
#[derive(Clone, Copy, Default, Debug)]
struct Witness {
    session: u64,
    since_s: u32,
    confirmed_s: u32,
    counted_s: u32,
    lost_s: u32,
    /// When its id was bound, in seconds since 1970; 0: not known.
    born_s: u32,
}

impl Witness {
    fn is_mature(&self) -> bool {
        self.confirmed_s.saturating_sub(self.since_s) >= MATURE_S
    }
}

impl Default for Witnesses {
    fn default() -> Self {
        Self {
            sample: [Witness::default(); WITNESSES],
            replaced_ids: [0; WITNESSES],
            replacements: [(0, 0); SECONDS],
            confirmed: 0,
            replaced: 0,
            faded_s: 0,
            felt: None,
        }
    }
}

impl Witnesses {
    /// The backend answered a session that is proven to live there, and did not replace its id.
    ///
    /// Whoever sits in the sample stays while in use: newcomers must not push witnesses out.
    pub(super) fn kept(&mut self, session: u64, now: Now) {
        let now_s = seconds(now);
        let mut counts = false;
        if let Some(witness) = self.sample.get_mut(place(session)) {
            if witness.session != session {
                let unused = now_s.saturating_sub(witness.confirmed_s.max(witness.lost_s));
                let over = if witness.lost_s > 0 { unused > WINDOW_S } else { unused > RECENT_S };
                if witness.session == 0 || over {
                    *witness = Witness { session, since_s: now_s, confirmed_s: now_s, ..Witness::default() };
                }
            } else if witness.lost_s == 0 {
                witness.confirmed_s = now_s;
                counts = witness.is_mature() && now_s.saturating_sub(witness.counted_s) >= MATURE_S;
                if counts {
                    witness.counted_s = now_s;
                }
            }
        }
        if counts {
            self.fade(now_s);
            self.confirmed = self.confirmed.saturating_add(1);
        }
    }

    /// The application ended the session.
    pub(super) fn ended(&mut self, session: u64) {
        if let Some(witness) = self.sample.get_mut(place(session))
            && witness.session == session
            && witness.lost_s == 0
        {
            *witness = Witness::default();
        }
    }

    /// A session that is proven to live on the backend was answered with a new id. `born_s`: when the old id was
    /// bound, in seconds since 1970, where a token tells.
    pub(super) fn replaced(&mut self, session: u64, born_s: Option<u32>, now: Now) -> Replacement {
        let now_s = seconds(now);
        let again = self.replaced_again(session);
        let found = self.sample.get(place(session)).copied().filter(|witness| witness.session == session);
        if let Some(felt) = self.felt {
            let victim = match born_s {
                Some(born_s) => born_s < felt.unix_s,
                None => found.is_some_and(|witness| witness.since_s < felt.at_s),
            };
            if victim {
                self.ended(session);
                return if again { Replacement::Rotated } else { Replacement::Lost };
            }
        }
        let fresh = born_s.is_some_and(|born_s| unix(now).saturating_sub(born_s) < MATURE_S);
        if !again && !fresh {
            self.count_replacement(now_s);
        }
        let testifies = |witness: &Witness| {
            witness.is_mature()
                && witness.lost_s == 0
                && now_s.saturating_sub(witness.confirmed_s) <= RECENT_S
        };
        let Some(mut witness) = found.filter(testifies) else {
            self.ended(session);
            return Replacement::Rotated;
        };
        witness.lost_s = now_s;
        witness.born_s = born_s.unwrap_or(0);
        if let Some(known) = self.sample.get_mut(place(session)) {
            *known = witness;
        }
        self.fade(now_s);
        self.replaced = self.replaced.saturating_add(1);
        match self.judge(now) {
            Some(restart) => Replacement::Restarted(restart),
            None => Replacement::Rotated,
        }
    }

    fn judge(&mut self, now: Now) -> Option<Restart> {
        let now_s = seconds(now);
        let is_loss =
            |witness: &&Witness| witness.lost_s > 0 && now_s.saturating_sub(witness.lost_s) <= WINDOW_S;
        let first_s = self.sample.iter().filter(is_loss).map(|witness| witness.lost_s).min()?;
        let losses = self.sample.iter().filter(is_loss).count();
        let others = |since_s: u32| {
            let in_use = move |it: &&Witness| {
                it.session != 0 && it.lost_s == 0 && it.confirmed_s >= since_s && it.is_mature()
            };
            self.sample.iter().filter(in_use).count()
        };
        let heard_of = losses + others(first_s);
        let in_use = losses + others(first_s.saturating_sub(WINDOW_S));
        let within_s = now_s.saturating_sub(first_s);
        let few = u32::try_from(losses).unwrap_or(u32::MAX);
        let usual = u64::from(self.replaced.saturating_sub(few)) + 1;
        let steps = u64::from(within_s.max(MATURE_S) / MATURE_S);
        // Of `heard_of` witnesses, in `steps` steps, `usual / confirmed` of them in each.
        let (wide, heard) = (u64::from(few), u64::try_from(heard_of).unwrap_or(u64::MAX));
        let unusual = wide.saturating_mul(u64::from(self.confirmed))
            >= ABOVE_USUAL.saturating_mul(heard).saturating_mul(steps).saturating_mul(usual);
        // Of sudden losses only so many count as usual as a verdict takes, or each further one would make it harder.
        let sudden = within_s <= PATIENCE_S;
        let spared = if sudden { few.saturating_sub(u32::try_from(LOSSES).unwrap_or(u32::MAX)) } else { 0 };
        let lasting = self.confirmed >= LIFETIME.saturating_mul(self.replaced.saturating_sub(spared));
        let present = losses + others(first_s.saturating_sub(RECENT_S));
        let (times, more) = AT_ONCE;
        let enough = 2 * losses >= present
            || within_s >= PATIENCE_S
                && 8 * losses >= 7 * heard_of
                && heard_of <= times * self.heard_before(first_s, within_s + 1) + more;
        if losses < LOSSES || 8 * losses < in_use || 2 * losses < heard_of || !enough || !unusual || !lasting
        {
            return None;
        }
        let felt = Felt { at_s: first_s, unix_s: unix(now).saturating_sub(within_s) };
        let boundary_s = self.boundary(now_s).min(felt.unix_s);
        let lost = self.replacements_since(first_s);
        self.sample.iter_mut().filter(|witness| witness.lost_s > 0).for_each(|it| *it = Witness::default());
        // What was counted as replaced stays so: if this was wrong, the next verdict needs more.
        self.felt = Some(felt);
        Some(Restart { lost, within_s, boundary_s })
    }

    /// Witnesses that were last heard of within a time before this moment.
    fn heard_before(&self, at_s: u32, within_s: u32) -> usize {
        let span = at_s.saturating_sub(within_s)..at_s;
        let is_one = |it: &&Witness| it.session != 0 && it.is_mature() && span.contains(&it.confirmed_s);
        self.sample.iter().filter(is_one).count()
    }

    /// A moment before the restart. Whoever lost an id had got it before: among honest losses the latest birth
    /// would do. A quarter from the oldest one stands even when three of four are logins of sessions that began
    /// after the restart. Too early is harmless: an old token then leads to an empty backend once more.
    fn boundary(&self, now_s: u32) -> u32 {
        let lost = |it: &&Witness| it.lost_s > 0 && now_s.saturating_sub(it.lost_s) <= WINDOW_S;
        let known = self.sample.iter().filter(lost).map(|it| it.born_s).filter(|born_s| *born_s > 0);
        let mut births: ArrayVec<u32, WITNESSES> = known.collect();
        births.sort_unstable();
        births.get(births.len() / 4).copied().unwrap_or(0)
    }

    fn replaced_again(&mut self, session: u64) -> bool {
        let Some(known) = self.replaced_ids.get_mut(place(session)) else { return false };
        std::mem::replace(known, session) == session
    }

    fn count_replacement(&mut self, now_s: u32) {
        let place = usize::try_from(now_s).unwrap_or(0) % SECONDS;
        if let Some((second, count)) = self.replacements.get_mut(place) {
            *count = if *second == now_s { count.saturating_add(1) } else { 1 };
            *second = now_s;
        }
    }

    fn replacements_since(&self, first_s: u32) -> u32 {
        self.replacements.iter().filter(|(second, _)| *second >= first_s).map(|(_, count)| count).sum()
    }

    fn fade(&mut self, now_s: u32) {
        let halvings = now_s.saturating_sub(self.faded_s) / FADE_S;
        if halvings > 0 {
            self.confirmed = self.confirmed.checked_shr(halvings).unwrap_or(0);
            self.replaced = self.replaced.checked_shr(halvings).unwrap_or(0);
            self.faded_s = now_s;
        }
    }
}

fn place(session: u64) -> usize {
    usize::try_from(session % WITNESSES as u64).unwrap_or(0)
}

/// Seconds on the monotonic clock, from 1 on.
fn seconds(now: Now) -> u32 {
    u32::try_from(now.monotonic_ms / 1000 + 1).unwrap_or(u32::MAX)
}

fn unix(now: Now) -> u32 {
    u32::try_from(now.unix_s).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
