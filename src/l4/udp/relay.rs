//! A session's life: until it is ended, it looks for a backend and brings the client what that sends.

use std::io;
use std::rc::Rc;

use super::batch::{Datagrams, is_refusal};
use super::lane::Lane;
use super::session::{Call, Kept, Session};
use super::stay::{Past, Stay, begin};
use crate::clock::Stamp;

/// A session that runs; taken out of its lane when dropped, whatever ended it.
struct Run {
    lane: Rc<Lane>,
    session: Rc<Session>,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.lane.end(&self.session);
    }
}

/// Runs a session until nobody can serve it; silence and drains end it from outside. `stay`: it has a backend already.
pub(super) async fn run(lane: Rc<Lane>, session: Rc<Session>, mut stay: Option<Rc<Stay>>, arrived: Stamp) {
    let run = Run { lane, session };
    let (lane, session) = (&run.lane, &run.session);
    let mut past = Past::default();
    loop {
        let stay = match stay.take() {
            Some(stay) => stay,
            // In a box: while it relays, a session is small.
            None => match Box::pin(begin(lane, session, &mut past, arrived)).await {
                Ok(stay) => stay,
                Err(error) => {
                    let name = &lane.gate.facts.name;
                    log::debug!("{name}: a session of {}: {error}", session.key().client);
                    return lane.gate.not_served(&lane.gate.current.load(), arrived);
                }
            },
        };
        session.go_through(&stay, &lane.gate.counts.datagrams);
        match relay(lane, session, &stay).await {
            Ok(Call::Refused) => {}
            Ok(Call::Leave(way)) => return lane.hand_over(session, stay, &way),
            Err(_) => return,
        }
        session.wait();
        // Without an answer in between.
        past.refusals = if stay.answered_lately() { 1 } else { past.refusals + 1 };
        past.stay = Some(stay);
    }
}

/// Brings the client what the backend sends, until that refuses what it is sent, or the session is to leave.
///
/// # Errors
/// The socket cannot be listened to.
async fn relay(lane: &Lane, session: &Session, stay: &Stay) -> io::Result<Call> {
    loop {
        tokio::select! {
            biased;
            call = session.called() => return Ok(call),
            news = stay.upstream().news() => news?,
        }
        let held = match lane.bring(session, stay) {
            Ok(held) => held,
            Err(error) if is_refusal(&error) => return Ok(Call::Refused),
            // Nothing is there after all, or word of a datagram that was too long.
            Err(_) => continue,
        };
        for held in held {
            lane.bring_later(session, &held).await;
        }
    }
}

/// Datagrams for which the system had no room at the moment.
pub(super) fn keep(rest: Datagrams<'_>, held: &mut Vec<Kept>) {
    held.extend(rest.each().map(|bytes| Kept { bytes: bytes.to_vec(), ecn: rest.ecn }));
}
