//! The line before a pool that has as many sessions as it may: who came first goes in first.
//!
//! A visitor's turn is the time at which it first came, which its ticket carries. So any replica, and a process that was
//! just started, takes a visitor into its own line at the place that is due. Whoever does not come back for a while
//! gives its place up.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Now;

/// When somebody came, and who.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket {
    /// Seconds since 1970 at which it first came.
    pub came_s: u64,
    /// Random below, so that it is nobody else's; above, the order within a second.
    pub id: u64,
}

impl Ticket {
    /// A ticket for somebody who has just come.
    #[expect(clippy::cast_possible_truncation, reason = "the order within a second is enough")]
    pub fn new(now: Now, random: u32) -> Self {
        Self { came_s: now.unix_s, id: u64::from(now.monotonic_ms as u32) << 32 | u64::from(random) }
    }
}

/// What is to be done with a visitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It goes in.
    In,
    /// So many go in before it.
    Behind(u64),
    /// The line is as long as it may be.
    Full,
}

/// The line of one pool.
#[derive(Debug)]
pub struct Line {
    /// Most visitors that wait.
    length: usize,
    /// Whoever does not come back for this long has gone.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their turns.
    waiting: Vec<Waiting>,
    /// When those who have gone were last looked for.
    swept_ms: u64,
    /// The count of live sessions, as it was last told.
    live: u64,
    /// Those who went in since then: they will be sessions soon.
    entered: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: Ticket,
    seen_ms: u64,
}

impl Line {
    /// A line of at most that many.
    pub fn new(length: usize, patience: Duration) -> Self {
        Self { length, patience, state: Mutex::default() }
    }

    /// Whether it is the same line, so that a reload goes on with it.
    pub fn is(&self, length: usize, patience: Duration) -> bool {
        (self.length, self.patience) == (length, patience)
    }

    /// How many sessions live, as was just counted.
    pub fn counted(&self, live: u64) {
        let mut state = self.state.lock();
        state.live = live;
        state.entered = 0;
    }

    /// Whether a newcomer goes in, or where it stands, while `limit` sessions may live.
    pub fn ask(&self, ticket: Ticket, limit: u64, now: Now) -> Place {
        let mut state = self.state.lock();
        state.sweep(self.patience, now);
        let free = limit.saturating_sub(state.live.saturating_add(state.entered));
        let found = state.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket);
        let place = found.unwrap_or_else(|place| place);
        if u64::try_from(place).unwrap_or(u64::MAX) < free {
            if found.is_ok() {
                state.waiting.remove(place);
            }
            state.entered += 1;
            return Place::In;
        }
        let waiting = Waiting { ticket, seen_ms: now.monotonic_ms };
        match found {
            Ok(place) => {
                if let Some(known) = state.waiting.get_mut(place) {
                    *known = waiting;
                }
            }
            Err(_) if state.waiting.len() >= self.length => return Place::Full,
            Err(place) => state.waiting.insert(place, waiting),
        }
        Place::Behind(u64::try_from(place).unwrap_or(u64::MAX))
    }

    /// Whether nobody waits and more sessions may live: then a newcomer needs no ticket. Counts it in.
    pub fn walk_in(&self, limit: u64) -> bool {
        let mut state = self.state.lock();
        let free = state.waiting.is_empty() && state.live.saturating_add(state.entered) < limit;
        state.entered += u64::from(free);
        free
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    /// Forgets those who have gone, once a second.
    fn sweep(&mut self, patience: Duration, now: Now) {
        if now.ms_since(self.swept_ms) < 1000 {
            return;
        }
        self.swept_ms = now.monotonic_ms;
        let patience = crate::clock::millis(patience);
        self.waiting.retain(|waiting| now.ms_since(waiting.seen_ms) <= patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_ms: 5_000_000, unix_s: 1_700_000_000 };

    fn at(s: u64) -> Now {
        NOW.after(Duration::from_secs(s))
    }

    #[test]
    fn who_came_first_goes_in_first() {
        let line = Line::new(10, Duration::from_secs(60));
        assert!(line.walk_in(2) && line.walk_in(2) && !line.walk_in(2));
        let tickets: Vec<_> = (0..3).map(|s| Ticket::new(at(s), 7)).collect();
        for (place, ticket) in tickets.iter().enumerate() {
            assert_eq!(line.ask(*ticket, 2, at(3)), Place::Behind(place as u64));
        }
        assert!(!line.walk_in(3), "nobody overtakes who waits");
        line.counted(1);
        assert_eq!(line.ask(tickets[2], 2, at(4)), Place::Behind(2));
        assert_eq!(line.ask(tickets[0], 2, at(4)), Place::In);
        assert_eq!(line.ask(tickets[1], 2, at(4)), Place::Behind(0), "one place was free, and is taken");
        line.counted(0);
        assert_eq!(line.ask(tickets[2], 2, at(5)), Place::In, "two are free");
        assert_eq!(line.ask(tickets[1], 2, at(5)), Place::In);
        assert!(line.is_empty());
    }

    #[test]
    fn another_replica_takes_a_visitor_in_where_it_belongs() {
        let line = Line::new(10, Duration::from_secs(60));
        let (early, late) = (Ticket::new(at(0), 1), Ticket::new(at(30), 2));
        line.counted(5);
        assert_eq!(line.ask(late, 5, at(31)), Place::Behind(0));
        assert_eq!(line.ask(early, 5, at(31)), Place::Behind(0), "it came to another replica before");
        assert_eq!(line.ask(late, 5, at(32)), Place::Behind(1));
    }

    #[test]
    fn who_has_gone_is_forgotten_and_the_line_is_bounded() {
        let line = Line::new(2, Duration::from_secs(60));
        let tickets: Vec<_> = (0..3).map(|n| Ticket::new(at(0), n)).collect();
        line.counted(1);
        assert_eq!(line.ask(tickets[0], 1, at(0)), Place::Behind(0));
        assert_eq!(line.ask(tickets[1], 1, at(30)), Place::Behind(1));
        assert_eq!(line.ask(tickets[2], 1, at(31)), Place::Full);
        assert_eq!(line.ask(tickets[1], 1, at(62)), Place::Behind(0), "the first has gone");
        assert_eq!(line.ask(tickets[2], 1, at(62)), Place::Behind(1));
        assert_eq!(line.len(), 2);
    }
}
