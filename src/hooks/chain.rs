//! Several hooks, asked in order, each caught if it panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::erased::{ErasedHook, State};
use super::hook::{BoxError, Completed, Hook, SessionKey, Verdict};
use super::view::{Choice, RequestView, ResponseView, UpstreamRequest};
use crate::names::BackendId;

/// Hooks in the order in which they were added.
#[derive(Default)]
pub struct Chain {
    hooks: Vec<Box<dyn ErasedHook>>,
}

/// What each hook remembers of one request. Empty, and free, without hooks.
#[derive(Default)]
pub struct States(Vec<State>);

/// A hook failed or panicked: the request is answered with 500.
#[derive(Debug, thiserror::Error)]
#[error("hook {hook} {what}")]
pub struct HookFailure {
    hook: String,
    what: String,
}

impl Chain {
    /// Adds a hook behind the others.
    pub fn add(&mut self, hook: impl Hook) {
        self.hooks.push(Box::new(hook));
    }

    /// Whether there are no hooks.
    pub fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }

    /// Fresh states for a request.
    pub fn states(&self) -> States {
        States(self.hooks.iter().map(|hook| hook.new_state()).collect())
    }

    /// The first verdict that is not [`Verdict::Continue`].
    ///
    /// # Errors
    /// A hook failed or panicked.
    pub fn on_request(
        &self,
        states: &mut States,
        request: &mut RequestView<'_>,
    ) -> Result<Verdict, HookFailure> {
        for (hook, state) in self.each(states) {
            match caught(hook, || hook.on_request(request, state))? {
                Verdict::Continue => {}
                verdict => return Ok(verdict),
            }
        }
        Ok(Verdict::Continue)
    }

    /// The first name that a hook gives the session.
    ///
    /// # Errors
    /// A hook panicked.
    pub fn session_key(
        &self,
        states: &mut States,
        request: &RequestView<'_>,
    ) -> Result<Option<SessionKey>, HookFailure> {
        for (hook, state) in self.each(states) {
            if let Some(key) = caught(hook, || Ok(hook.session_key(request, state)))? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// The first backend that a hook picks; `bound`: the session has a home already.
    ///
    /// # Errors
    /// A hook panicked.
    pub fn choose(
        &self,
        states: &mut States,
        choice: &Choice<'_>,
        bound: bool,
    ) -> Result<Option<BackendId>, HookFailure> {
        for (hook, state) in self.each(states) {
            if bound && !hook.overrides_binding() {
                continue;
            }
            if let Some(backend) = caught(hook, || Ok(hook.choose(choice, state)))? {
                return Ok(Some(backend));
            }
        }
        Ok(None)
    }

    /// Every hook may change what the backend is sent.
    ///
    /// # Errors
    /// A hook failed or panicked.
    pub fn on_upstream_request(
        &self,
        states: &mut States,
        request: &mut UpstreamRequest<'_>,
    ) -> Result<(), HookFailure> {
        self.each(states)
            .try_for_each(|(hook, state)| caught(hook, || hook.on_upstream_request(request, state)))
    }

    /// Every hook may change the response's head.
    ///
    /// # Errors
    /// A hook failed or panicked.
    pub fn on_response(
        &self,
        states: &mut States,
        response: &mut ResponseView<'_>,
    ) -> Result<(), HookFailure> {
        self.each(states).try_for_each(|(hook, state)| caught(hook, || hook.on_response(response, state)))
    }

    /// Every hook is told how the request ended; a failure is logged only.
    pub fn on_complete(&self, states: &mut States, completed: &Completed<'_>) {
        for (hook, state) in self.each(states) {
            if let Err(failure) = caught(hook, || {
                hook.on_complete(completed, state);
                Ok(())
            }) {
                log::error!("{failure}");
            }
        }
    }

    fn each<'a>(
        &'a self,
        states: &'a mut States,
    ) -> impl Iterator<Item = (&'a dyn ErasedHook, &'a mut State)> {
        self.hooks.iter().map(AsRef::as_ref).zip(&mut states.0)
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.hooks.iter().map(|hook| hook.name())).finish()
    }
}

/// A state that a panic left half-changed is dropped with its request, which is answered with 500.
fn caught<T>(hook: &dyn ErasedHook, call: impl FnOnce() -> Result<T, BoxError>) -> Result<T, HookFailure> {
    let what = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => format!("failed: {error}"),
        Err(_) => "panicked".to_owned(),
    };
    Err(HookFailure { hook: hook.name().to_owned(), what })
}
