//! The trait that authors implement.

use std::time::Duration;

use super::view::{Answer, Choice, RequestView, ResponseView, UpstreamRequest};
use crate::names::{BackendId, PoolName, Reason};

/// What a hook fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// The next hook looks, then the routes.
    Continue,
    /// This pool serves it, whatever the routes say.
    Pool(PoolName),
    /// This answer is sent, and no backend is asked.
    Answer(Answer),
}

/// A session's name as a hook gives it: it stands before all cookies as evidence.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionKey(Vec<u8>);

impl SessionKey {
    /// Takes any bytes that stay the same for the session's life. Only a keyed digest of them is kept.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// How a request ended.
#[derive(Debug)]
pub struct Completed<'a> {
    /// The status that the client saw; `None`: it saw none.
    pub status: Option<u16>,
    /// The pool, if one was chosen.
    pub pool: Option<&'a PoolName>,
    /// The backend, if one was chosen.
    pub backend: Option<&'a BackendId>,
    /// Why the request went there.
    pub reason: Option<Reason>,
    /// What happened to the session: a word of [`Outcome`](crate::names::Outcome).
    pub outcome: Option<&'static str>,
    /// Tries after the first.
    pub retries: u32,
    /// From the request's arrival to its end.
    pub took: Duration,
}

/// Extends Steadfast. Every method may be left out.
pub trait Hook: Send + Sync + 'static {
    /// What the hook remembers of one request.
    type State: Default + Send + Sync + 'static;

    /// Its name in log lines.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }

    /// Looks at a request, changes it, answers it, or chooses its pool.
    ///
    /// # Errors
    /// Answered with 500.
    fn on_request(
        &self,
        request: &mut RequestView<'_>,
        state: &mut Self::State,
    ) -> Result<Verdict, BoxError> {
        let _ = (request, state);
        Ok(Verdict::Continue)
    }

    /// Names the session, from anything in the request: a claim in a token, a tenant.
    fn session_key(&self, request: &RequestView<'_>, state: &mut Self::State) -> Option<SessionKey> {
        let _ = (request, state);
        None
    }

    /// Picks a backend for a new session among those that take one. Does not see requests whose session has
    /// a home, unless [`overrides_binding`](Self::overrides_binding) says so.
    fn choose(&self, choice: &Choice<'_>, state: &mut Self::State) -> Option<BackendId> {
        let _ = (choice, state);
        None
    }

    /// Whether [`choose`](Self::choose) is asked even where a session has a home. Such a choice moves sessions.
    fn overrides_binding(&self) -> bool {
        false
    }

    /// Changes what the backend is sent; runs again on each try.
    ///
    /// # Errors
    /// Answered with 500.
    fn on_upstream_request(
        &self,
        request: &mut UpstreamRequest<'_>,
        state: &mut Self::State,
    ) -> Result<(), BoxError> {
        let _ = (request, state);
        Ok(())
    }

    /// Changes the response's head, before the binding is added.
    ///
    /// # Errors
    /// Answered with 500.
    fn on_response(&self, response: &mut ResponseView<'_>, state: &mut Self::State) -> Result<(), BoxError> {
        let _ = (response, state);
        Ok(())
    }

    /// Is told how the request ended.
    fn on_complete(&self, completed: &Completed<'_>, state: &mut Self::State) {
        let _ = (completed, state);
    }
}
