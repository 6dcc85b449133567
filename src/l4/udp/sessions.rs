//! The sessions of one socket: found by who writes, and in the order in which those give way who have proven nothing.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::session::Session;
use crate::names::BackendTag;

/// Who writes, and to which of our addresses, where the socket has several: the answer has to come from there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) client: SocketAddr,
    pub(super) local: Option<IpAddr>,
    /// The backend that a connection id of QUIC names, where it is not the one that the address leads to.
    pub(super) named: Option<BackendTag>,
}

/// The sessions of one socket. As many as their listener's places; the order is a few times longer at most.
#[derive(Default)]
pub(super) struct Sessions {
    by_key: HashMap<Key, Rc<Session>>,
    /// Oldest first. Holds some that have ended or proven themselves since.
    unproven: VecDeque<(Key, u64)>,
    next: u64,
}

impl Sessions {
    /// Enters a session that `make` makes with a number that no other has.
    pub(super) fn begin(&mut self, key: Key, make: impl FnOnce(u64) -> Session) -> Rc<Session> {
        self.next += 1;
        let session = Rc::new(make(self.next));
        self.by_key.insert(key, Rc::clone(&session));
        if self.unproven.len() > 2 * self.by_key.len() + 64 {
            let by_key = &self.by_key;
            self.unproven.retain(|(key, number)| waits(by_key, key, *number).is_some());
        }
        self.unproven.push_back((key, self.next));
        session
    }

    /// Takes out the oldest session of those whose client has proven nothing.
    pub(super) fn give_way(&mut self) -> Option<Rc<Session>> {
        while let Some((key, number)) = self.unproven.pop_front() {
            if waits(&self.by_key, &key, number).is_some() {
                return self.by_key.remove(&key);
            }
        }
        None
    }

    /// Takes out a session that has ended, unless another one is in its place by now.
    pub(super) fn end(&mut self, key: &Key, number: u64) {
        if self.by_key.get(key).is_some_and(|session| session.number() == number) {
            self.by_key.remove(key);
        }
    }

    /// The session of whoever writes, or, where a connection id names a backend, the session there.
    pub(super) fn find(&self, key: &Key) -> Option<&Rc<Session>> {
        let by_address = self.by_key.get(&Key { named: None, ..*key });
        match key.named {
            Some(named) => {
                by_address.filter(|session| session.home() == Some(named)).or_else(|| self.by_key.get(key))
            }
            None => by_address,
        }
    }

    /// Whether there is one with this very key.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Rc<Session>> {
        self.by_key.values()
    }

    /// How many have ever begun.
    pub(super) fn begun(&self) -> u64 {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

fn waits<'s>(by_key: &'s HashMap<Key, Rc<Session>>, key: &Key, number: u64) -> Option<&'s Rc<Session>> {
    by_key.get(key).filter(|session| session.number() == number && !session.is_proven())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> Key {
        Key { client: ([192, 0, 2, 1], port).into(), local: None, named: None }
    }

    fn begin(sessions: &mut Sessions, port: u16) -> Rc<Session> {
        let slot = std::sync::Arc::<crate::listen::Counts>::default().enter(1).unwrap();
        sessions.begin(key(port), |number| Session::new(key(port), number, slot))
    }

    #[test]
    fn the_oldest_that_has_proven_nothing_gives_way() {
        let mut sessions = Sessions::default();
        let all: Vec<_> = (0..5).map(|port| begin(&mut sessions, port)).collect();
        all[0].set_proven(true);
        sessions.end(&key(1), all[1].number());
        // The same client again: its place in the order is the new one.
        let again = begin(&mut sessions, 1);
        sessions.end(&key(1), all[1].number());
        assert!(sessions.find(&key(1)).is_some(), "the end of an earlier one does not end it");
        let order: Vec<_> =
            std::iter::from_fn(|| sessions.give_way()).map(|session| session.number()).collect();
        assert_eq!(order, [all[2].number(), all[3].number(), all[4].number(), again.number()]);
        assert_eq!(sessions.all().count(), 1, "the proven one stays");
    }

    #[test]
    fn a_connection_id_finds_the_session_at_the_backend_that_it_names() {
        let mut sessions = Sessions::default();
        let (here, there) = (BackendTag(1), BackendTag(2));
        let named = |backend| Key { named: Some(backend), ..key(1) };
        let by_address = begin(&mut sessions, 1);
        by_address.set_home(here);
        let found = |sessions: &Sessions, key| sessions.find(&key).map(|session| session.number());
        assert_eq!(found(&sessions, named(here)), Some(by_address.number()), "one way to one backend");
        assert_eq!(found(&sessions, named(there)), None);
        let slot = std::sync::Arc::<crate::listen::Counts>::default().enter(1).unwrap();
        let other = sessions.begin(named(there), |number| Session::new(named(there), number, slot));
        assert_eq!(found(&sessions, named(there)), Some(other.number()));
        assert_eq!(found(&sessions, key(1)), Some(by_address.number()), "all else goes by the address");
        by_address.set_home(there);
        assert_eq!(found(&sessions, named(there)), Some(by_address.number()));
    }

    #[test]
    fn the_order_does_not_grow_with_those_who_have_gone() {
        let mut sessions = Sessions::default();
        let first = begin(&mut sessions, 0);
        for _ in 0..10_000 {
            let session = begin(&mut sessions, 1);
            sessions.end(&key(1), session.number());
        }
        assert!(sessions.unproven.len() < 100 && !first.is_proven());
    }
}
