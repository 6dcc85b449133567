//! Sessions of one origin: shards behind locks, chosen by the digest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::gaps::{Gaps, Return};
use super::journal::{Change, Journal, Readers};
use super::shard::{Known, MOST, Shard};
use super::{Origin, RETIRED_FOR, Remembered};
use crate::affinity::session::SessionDigest;
use crate::clock::Now;
use crate::names::BackendTag;

pub(super) const SHARDS: usize = 16;

#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    idle_s: u32,
    /// A session that lives on is noted when its end passes a multiple of this.
    step_s: u32,
    origin: Origin,
    gaps: Arc<Gaps>,
}

impl Table {
    pub(super) fn new(capacity: usize, idle: Duration, origin: Origin, gaps: Arc<Gaps>) -> Self {
        let each = u32::try_from(capacity.div_ceil(SHARDS)).unwrap_or(MOST).clamp(1, MOST);
        let idle_s = u32::try_from(idle.as_secs()).unwrap_or(u32::MAX).max(1);
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new(each))).collect(),
            idle_s,
            step_s: (idle_s / 8).max(1),
            origin,
            gaps,
        }
    }

    pub(super) fn find(&self, session: &SessionDigest, now: Now, readers: &Readers) -> Option<BackendTag> {
        self.find_in(&mut self.shard(session)?.lock(), session, now, readers, Return::Forgotten)
    }

    /// Whether that backend is known to hold the session; counts as use if so.
    pub(super) fn used(
        &self,
        session: &SessionDigest,
        backend: BackendTag,
        now: Now,
        readers: &Readers,
    ) -> bool {
        let Some(shard) = self.shard(session) else { return false };
        let mut shard = shard.lock();
        shard.peek(session).is_some_and(|known| known.backend == backend)
            && self.find_in(&mut shard, session, now, readers, Return::Kept).is_some()
    }

    /// Counts the sessions that live, by backend.
    pub(super) fn count(&self, now: Now, counts: &mut HashMap<BackendTag, u64>) {
        for shard in &self.shards {
            let shard = shard.lock();
            let live = shard.unordered().filter(|known| known.expires_s > seconds(now) && !known.retired);
            live.for_each(|known| *counts.entry(known.backend).or_default() += 1);
        }
    }

    fn find_in(
        &self,
        shard: &mut Shard,
        session: &SessionDigest,
        now: Now,
        readers: &Readers,
        if_expired: Return,
    ) -> Option<BackendTag> {
        let found = match shard.find(session, seconds(now), self.idle_s) {
            Ok(found) => found,
            Err(expired_s) => {
                if let Some(expired_s) = expired_s {
                    self.gaps.note(self.gap_s(expired_s, now), if_expired);
                }
                return None;
            }
        };
        if !found.now.retired {
            self.gaps.note(self.gap_s(found.expired_s, now), Return::Kept);
        }
        if found.expired_s / self.step_s != found.now.expires_s / self.step_s {
            readers.note(|| Change::Learned(self.remembered(session, found.now)));
        }
        Some(found.now.backend)
    }

    pub(super) fn peek(&self, session: &SessionDigest, now: Now) -> Option<BackendTag> {
        let known = self.shard(session)?.lock().peek(session)?;
        (known.expires_s > seconds(now)).then_some(known.backend)
    }

    /// All that is known of a session that lives; no use of it.
    pub(super) fn recall(&self, session: &SessionDigest, now: Now) -> Option<Remembered> {
        let known = self.shard(session)?.lock().peek(session)?;
        (known.expires_s > seconds(now)).then(|| self.remembered(session, known))
    }

    pub(super) fn learn(&self, session: &SessionDigest, backend: BackendTag, now: Now, readers: &Readers) {
        if let Some(shard) = self.shard(session) {
            self.enter(&mut shard.lock(), session, backend, now, readers);
        }
    }

    /// Learns only what is known already; tells whether it was.
    pub(super) fn relearn(
        &self,
        session: &SessionDigest,
        backend: BackendTag,
        now: Now,
        readers: &Readers,
    ) -> bool {
        let Some(shard) = self.shard(session) else { return false };
        let mut shard = shard.lock();
        let known = shard.peek(session).is_some();
        if known {
            self.enter(&mut shard, session, backend, now, readers);
        }
        known
    }

    fn enter(
        &self,
        shard: &mut Shard,
        session: &SessionDigest,
        backend: BackendTag,
        now: Now,
        readers: &Readers,
    ) {
        let known = Known { backend, expires_s: seconds(now).saturating_add(self.idle_s), retired: false };
        let inserted = shard.learn(session, known);
        let as_before = inserted.before.is_some_and(|before| {
            Known { expires_s: 0, ..before } == Known { expires_s: 0, ..known }
                && before.expires_s / self.step_s == known.expires_s / self.step_s
        });
        if let Some(session) = inserted.evicted {
            readers.note(|| Change::Evicted { session });
        }
        if !as_before {
            readers.note(|| Change::Learned(self.remembered(session, known)));
        }
    }

    pub(super) fn retire(&self, session: &SessionDigest, now: Now, readers: &Readers) {
        let Some(shard) = self.shard(session) else { return };
        let mut shard = shard.lock();
        if let Some(known) = shard.peek(session).filter(|known| !known.retired) {
            self.gaps.note(self.gap_s(known.expires_s, now), Return::Replaced);
        }
        let for_s = u32::try_from(RETIRED_FOR.as_secs()).unwrap_or(u32::MAX);
        if let Some(known) = shard.retire(session, seconds(now).saturating_add(for_s)) {
            readers.note(|| Change::Learned(self.remembered(session, known)));
        }
    }

    pub(super) fn forget(&self, session: &SessionDigest) {
        if let Some(shard) = self.shard(session) {
            shard.lock().forget(session);
        }
    }

    pub(super) fn forget_noted(&self, session: &SessionDigest, readers: &Readers) {
        if let Some(shard) = self.shard(session) {
            let mut shard = shard.lock();
            shard.forget(session);
            readers.note(|| Change::Forgotten { session: *session });
        }
    }

    /// Enters what `source` keeps; tells whether it was alive.
    pub(super) fn adopt(
        &self,
        session: &Remembered,
        source: &Arc<Journal>,
        now: Now,
        readers: &Readers,
    ) -> bool {
        let Some(known) = self.alive(session, now) else { return false };
        let Some(shard) = self.shard(&session.session) else { return false };
        let mut shard = shard.lock();
        let inserted = shard.learn(&session.session, known);
        if let Some(session) = inserted.evicted {
            readers.note(|| Change::Evicted { session });
        }
        if inserted.before != Some(known) {
            readers.note_to_others(source, || Change::Learned(self.remembered(&session.session, known)));
        }
        true
    }

    pub(super) fn restore(&self, session: &Remembered, now: Now) -> bool {
        let Some(known) = self.alive(session, now) else { return false };
        self.shard(&session.session).is_some_and(|shard| shard.lock().restore(&session.session, known))
    }

    pub(super) fn export(&self, now: Now) -> impl Iterator<Item = Vec<Remembered>> + '_ {
        let alive = move |known: &Known| known.expires_s > seconds(now);
        self.shards.iter().map(move |shard| {
            let shard = shard.lock();
            let all = shard.all().filter(|(_, known)| alive(known));
            all.map(|(session, known)| self.remembered(&session, known)).collect()
        })
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// What was kept elsewhere, if it has not expired.
    fn alive(&self, session: &Remembered, now: Now) -> Option<Known> {
        let Remembered { backend, expires_s, retired, .. } = *session;
        // The idle time may have become shorter.
        let latest_s = seconds(now).saturating_add(self.idle_s);
        (expires_s > seconds(now)).then(|| Known { backend, expires_s: expires_s.min(latest_s), retired })
    }

    /// How long before its end a session was last used.
    pub(super) fn idle_s(&self) -> u32 {
        self.idle_s
    }

    /// How long a session that was to expire then has not been used.
    fn gap_s(&self, expires_s: u32, now: Now) -> u32 {
        seconds(now).saturating_add(self.idle_s).saturating_sub(expires_s)
    }

    fn remembered(&self, session: &SessionDigest, known: Known) -> Remembered {
        let Known { backend, expires_s, retired } = known;
        Remembered { session: *session, backend, origin: self.origin, expires_s, retired }
    }

    fn shard(&self, session: &SessionDigest) -> Option<&Mutex<Shard>> {
        let [first, ..] = session.0;
        self.shards.get(usize::from(first) % SHARDS)
    }
}

fn seconds(now: Now) -> u32 {
    u32::try_from(now.unix_s).unwrap_or(u32::MAX)
}
