//! Reading: what a request does that nobody here can lead home for sure.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::counts::one;
use super::engine::{Engine, EngineError, within};
use super::{SharedTable, record};
use crate::affinity::{Remembered, SessionDigest, Unsure};
use crate::clock::Now;

/// Before the first repetition; each later pause is twice as long.
const FIRST_AGAIN: Duration = Duration::from_millis(2);

impl SharedTable {
    /// Asks the engine for sessions, and takes what it knows of them into the learned table. Waits for the engine's
    /// answer within the configured time, and not at all while it is away or too many ask already.
    ///
    /// For an id that nobody has heard of here, it asks a few times: the client may have come from the replica that
    /// started its session faster than that replica's write.
    pub async fn ask(&self, unsure: &Unsure) {
        let now = Now::read();
        let ids: Vec<SessionDigest> = {
            let misses = self.misses.lock();
            unsure.ids.iter().filter(|id| !misses.has(id, now)).copied().collect()
        };
        if ids.is_empty() {
            return;
        }
        let (Some(engine), Ok(_place)) = (self.engine(), self.places.try_acquire()) else {
            return one(&self.counts.skipped);
        };
        one(&self.counts.reads);
        let answer = within(self.settings.timeout, self.find(&engine, &ids, unsure.unheard)).await;
        let now = Now::read();
        match answer {
            Ok(found) => {
                self.answered();
                let mut hit = false;
                for known in &found {
                    hit |= self.pool.learned.adopt(known, &self.journal, now);
                }
                if hit {
                    return one(&self.counts.hits);
                }
                one(&self.counts.misses);
                let mut misses = self.misses.lock();
                ids.iter().for_each(|id| misses.note(id, now));
            }
            Err(error) => {
                let late = matches!(error, EngineError::Late(_));
                one(if late { &self.counts.timeouts } else { &self.counts.failures });
                self.failed(&engine, &error);
            }
        }
    }

    /// What the engine knows of the sessions; asks again until half of the time is over, if there is room for that.
    async fn find(
        &self,
        engine: &Arc<Engine>,
        ids: &[SessionDigest],
        again: bool,
    ) -> Result<Vec<Remembered>, EngineError> {
        let keys: Vec<String> = ids.iter().map(|id| self.keys.key(id)).collect();
        let last = Instant::now() + self.settings.timeout / 2;
        let mut pause = FIRST_AGAIN;
        let mut patient_place = None;
        loop {
            let found = self.read(engine, ids, &keys).await?;
            if !found.is_empty() || !again || Instant::now() + pause > last {
                return Ok(found);
            }
            if patient_place.is_none() {
                let Ok(place) = self.patient_places.try_acquire() else { return Ok(found) };
                patient_place = Some(place);
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// What the engine knows of the sessions now.
    pub(super) async fn read(
        &self,
        engine: &Engine,
        ids: &[SessionDigest],
        keys: &[String],
    ) -> Result<Vec<Remembered>, EngineError> {
        let values = engine.read(keys).await?;
        let known = ids.iter().zip(values).filter_map(|(id, value)| record::decode(id, &value?));
        Ok(known.collect())
    }
}
