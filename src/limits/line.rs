//! The line before a pool that has as many sessions as it may: who came first goes in first.
//!
//! A visitor's turn is the time at which it first came, which its ticket carries. So any replica, and a process that was
//! just started, takes a visitor into its own line at the place that is due. Whoever does not come back for a while
//! gives its place up.

use std::sync::Arc;
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
    #[expect(clippy::cast_possible_truncation, reason = "the order within a second is enough")]
    fn new(now: Now, random: u32) -> Self {
        Self { came_s: now.unix_s, id: u64::from(now.monotonic_ms as u32) << 32 | u64::from(random) }
    }
}

/// What is to be done with a visitor.
#[derive(Debug)]
pub enum Place {
    /// It goes in.
    In(Entrant),
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
    /// The ticket that was given last.
    last: Option<Ticket>,
    /// When those who have gone were last looked for.
    swept_ms: u64,
    /// The count of live sessions, as it was last told.
    live: u64,
    /// Those who went in and whose first request is not answered yet.
    entering: u64,
    /// Those whose first request was answered since that count began. They are live, and not in it.
    entered: u64,
}

/// Somebody who went in: counts as a session from then on. Kept until its first request was answered.
#[derive(Debug)]
pub struct Entrant(Arc<Line>);

impl Drop for Entrant {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.entering = state.entering.saturating_sub(1);
        state.entered += 1;
    }
}

/// Where a count began.
#[derive(Debug)]
pub struct Counting(u64);

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

    /// Whether as many sessions live as may, as far as is known.
    pub fn is_crowded(&self, limit: u64) -> bool {
        self.state.lock().free(limit) == 0
    }

    /// Live sessions are about to be counted.
    pub fn begin_count(&self) -> Counting {
        Counting(self.state.lock().entered)
    }

    /// So many live.
    pub fn counted(&self, live: u64, Counting(before): Counting) {
        let mut state = self.state.lock();
        state.live = live;
        state.entered = state.entered.saturating_sub(before);
    }

    /// A ticket for somebody who has just come: behind all those that were given before.
    pub fn newcomer(&self, now: Now, random: u32) -> Ticket {
        let mut ticket = Ticket::new(now, random);
        let mut state = self.state.lock();
        if let Some(last) = state.last.filter(|last| last.came_s == ticket.came_s && *last >= ticket) {
            ticket.id = last.id.saturating_add(1);
        }
        state.last = Some(ticket);
        ticket
    }

    /// Whether a newcomer goes in, or where it stands, while `limit` sessions may live.
    pub fn ask(self: &Arc<Self>, ticket: Ticket, limit: u64, now: Now) -> Place {
        let mut state = self.state.lock();
        state.sweep(self.patience, now);
        let free = state.free(limit);
        let found = state.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket);
        let place = found.unwrap_or_else(|place| place);
        if u64::try_from(place).unwrap_or(u64::MAX) < free {
            if found.is_ok() {
                state.waiting.remove(place);
            }
            state.entering += 1;
            return Place::In(Entrant(Arc::clone(self)));
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
    pub fn walk_in(self: &Arc<Self>, limit: u64) -> Option<Entrant> {
        let mut state = self.state.lock();
        let free = state.waiting.is_empty() && state.free(limit) > 0;
        free.then(|| {
            state.entering += 1;
            Entrant(Arc::clone(self))
        })
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
    fn free(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.live.saturating_add(self.entering).saturating_add(self.entered))
    }

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

    fn line(length: usize) -> Arc<Line> {
        Arc::new(Line::new(length, Duration::from_secs(60)))
    }

    /// The place of whoever waits; `None`: it went in, and its first request was answered.
    fn place(line: &Arc<Line>, ticket: Ticket, limit: u64, now: Now) -> Option<u64> {
        match line.ask(ticket, limit, now) {
            Place::In(_) => None,
            Place::Behind(place) => Some(place),
            Place::Full => Some(u64::MAX),
        }
    }

    #[test]
    fn who_came_first_goes_in_first() {
        let line = line(10);
        let (first, second) = (line.walk_in(2), line.walk_in(2));
        assert!(first.is_some() && second.is_some() && line.walk_in(2).is_none());
        drop((first, second));
        assert!(line.walk_in(2).is_none(), "answered, they are sessions");
        let tickets: Vec<_> = (0..3).map(|s| Ticket::new(at(s), 7)).collect();
        for (expected, ticket) in tickets.iter().enumerate() {
            assert_eq!(place(&line, *ticket, 2, at(3)), Some(expected as u64));
        }
        assert!(line.walk_in(3).is_none(), "nobody overtakes who waits");
        line.counted(1, line.begin_count());
        assert_eq!(place(&line, tickets[2], 2, at(4)), Some(2));
        assert_eq!(place(&line, tickets[0], 2, at(4)), None);
        assert_eq!(place(&line, tickets[1], 2, at(4)), Some(0), "one place was free, and is taken");
        line.counted(0, line.begin_count());
        assert_eq!(place(&line, tickets[2], 2, at(5)), None, "two are free");
        assert_eq!(place(&line, tickets[1], 2, at(5)), None);
        assert!(line.is_empty() && line.is_crowded(2));
    }

    #[test]
    fn within_a_moment_the_order_holds() {
        let line = line(10);
        let tickets: Vec<_> = [9, 5, 7, 0].iter().map(|random| line.newcomer(NOW, *random)).collect();
        assert!(tickets.is_sorted() && line.newcomer(at(1), 0) > tickets[3], "{tickets:?}");
    }

    #[test]
    fn who_goes_in_while_sessions_are_counted_is_counted_after_all() {
        let line = line(10);
        drop(line.walk_in(3));
        let counting = line.begin_count();
        let entering = line.walk_in(3);
        drop(line.walk_in(3));
        line.counted(1, counting);
        assert!(line.walk_in(3).is_none(), "one is counted, one was answered since, one is not answered yet");
        line.counted(3, line.begin_count());
        assert!(line.walk_in(4).is_none());
        drop(entering);
    }

    #[test]
    fn another_replica_takes_a_visitor_in_where_it_belongs() {
        let line = line(10);
        let (early, late) = (Ticket::new(at(0), 1), Ticket::new(at(30), 2));
        line.counted(5, line.begin_count());
        assert_eq!(place(&line, late, 5, at(31)), Some(0));
        assert_eq!(place(&line, early, 5, at(31)), Some(0), "it came to another replica before");
        assert_eq!(place(&line, late, 5, at(32)), Some(1));
    }

    #[test]
    fn who_has_gone_is_forgotten_and_the_line_is_bounded() {
        let line = line(2);
        let tickets: Vec<_> = (0..3).map(|n| Ticket::new(at(0), n)).collect();
        line.counted(1, line.begin_count());
        assert_eq!(place(&line, tickets[0], 1, at(0)), Some(0));
        assert_eq!(place(&line, tickets[1], 1, at(30)), Some(1));
        assert_eq!(place(&line, tickets[2], 1, at(31)), Some(u64::MAX));
        assert_eq!(place(&line, tickets[1], 1, at(62)), Some(0), "the first has gone");
        assert_eq!(place(&line, tickets[2], 1, at(62)), Some(1));
        assert_eq!(line.len(), 2);
    }
}
