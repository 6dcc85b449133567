//! What a client may expect, and what it got: the same judgement for every load balancer.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What went wrong, and how often. Also what did not.
#[derive(Clone, Default, Debug)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    /// A presented session was unknown where it went, although the server that holds it was alive.
    pub(crate) avoidable: u64,
    /// A presented session was unknown because its server was gone.
    pub(crate) unavoidable: u64,
    /// The client saw a 5xx, or its connection broke.
    pub(crate) errors: u64,
    /// A request with a session went to another server than the one that held it, and was alive.
    pub(crate) misroutes: u64,
    /// A new session was started on a draining server.
    pub(crate) new_on_draining: u64,
    /// What an incident asks for beyond that.
    pub(crate) broken: u64,
    /// The first few, in words.
    pub(crate) details: Vec<String>,
}

/// Details that are kept.
const MAX_DETAILS: usize = 6;

/// Knows where every session lives.
#[derive(Default, Debug)]
pub(crate) struct Judge(Mutex<Known>);

#[derive(Default, Debug)]
struct Known {
    /// Server and boot of each session.
    homes: HashMap<String, (String, String)>,
    /// Sessions that the application itself ended or renamed.
    over: HashSet<String>,
    /// Boots that are alive, by server.
    alive: HashMap<String, String>,
    draining: HashSet<String>,
    count: Count,
}

/// One response, as far as it matters here.
#[derive(Clone, Default, Debug)]
pub(crate) struct Seen {
    pub(crate) presented: Option<String>,
    /// `known`, `unknown`, or `none`: what the server says of it.
    pub(crate) verdict: String,
    pub(crate) server: String,
    pub(crate) boot: String,
    /// The session after the response.
    pub(crate) session: Option<String>,
    /// Whether the request asked for the id to be replaced, or the session to end.
    pub(crate) ends: bool,
}

impl Judge {
    /// A server has started.
    pub(crate) fn up(&self, server: &str, boot: u32) {
        self.known().alive.insert(server.to_owned(), boot.to_string());
    }

    /// A server is about to go; from now on its sessions are lost through nobody's fault.
    pub(crate) fn down(&self, server: &str) {
        self.known().alive.remove(server);
    }

    /// From now on a server must get no new session.
    pub(crate) fn draining(&self, server: &str) {
        self.known().draining.insert(server.to_owned());
    }

    /// A request failed.
    pub(crate) fn error(&self, what: &str) {
        let mut known = self.known();
        known.count.requests += 1;
        known.count.errors += 1;
        known.detail(format!("error: {what}"));
    }

    /// Something else that the incident asks for was not so.
    pub(crate) fn broken(&self, what: &str) {
        let mut known = self.known();
        known.count.broken += 1;
        known.detail(format!("broken: {what}"));
    }

    /// The server that holds a session.
    pub(crate) fn home(&self, session: &str) -> Option<String> {
        self.known().homes.get(session).map(|(server, _)| server.clone())
    }

    /// Judges a response.
    pub(crate) fn see(&self, seen: &Seen) {
        let mut known = self.known();
        known.count.requests += 1;
        if let Some(id) = &seen.presented {
            known.presented(id, seen);
        }
        let Some(session) = &seen.session else { return };
        if seen.presented.as_ref() != Some(session) {
            let renamed = seen.verdict == "known";
            if let Some(old) = seen.presented.as_ref().filter(|_| renamed && seen.ends) {
                known.over.insert(old.clone());
            }
            if !renamed && known.draining.contains(&seen.server) {
                known.count.new_on_draining += 1;
                known.detail(format!("new session on draining {}", seen.server));
            }
        }
        known.homes.insert(session.clone(), (seen.server.clone(), seen.boot.clone()));
    }

    /// A session ended, or its id was replaced, by a request that is under way.
    pub(crate) fn over(&self, session: &str) {
        self.known().over.insert(session.to_owned());
    }

    pub(crate) fn count(&self) -> Count {
        self.known().count.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn presented(&mut self, id: &str, seen: &Seen) {
        let Some((server, boot)) = self.homes.get(id).cloned() else { return };
        let alive = self.alive.get(&server) == Some(&boot);
        if alive && seen.server != server {
            self.count.misroutes += 1;
            self.detail(format!("session of {server} went to {}", seen.server));
        }
        if seen.verdict != "unknown" || self.over.contains(id) {
            return;
        }
        if alive {
            self.count.avoidable += 1;
            self.detail(format!("session of {server} was lost at {}", seen.server));
        } else {
            self.count.unavoidable += 1;
        }
        // Lost once: whoever presents it again does not lose it a second time.
        self.over.insert(id.to_owned());
    }

    fn detail(&mut self, text: String) {
        if self.count.details.len() < MAX_DETAILS {
            self.count.details.push(text);
        }
    }
}
