//! The trait that the chain stores: the author's, without its type of state.

use std::any::Any;

use super::hook::{BoxError, Completed, Hook, SessionKey, Verdict};
use super::view::{Choice, RequestView, ResponseView, UpstreamRequest};
use crate::names::BackendId;

pub(super) type State = Box<dyn Any + Send + Sync>;

pub(super) trait ErasedHook: Send + Sync {
    fn name(&self) -> &str;
    fn new_state(&self) -> State;
    fn on_request(&self, request: &mut RequestView<'_>, state: &mut State) -> Result<Verdict, BoxError>;
    fn session_key(&self, request: &RequestView<'_>, state: &mut State) -> Option<SessionKey>;
    fn choose(&self, choice: &Choice<'_>, state: &mut State) -> Option<BackendId>;
    fn overrides_binding(&self) -> bool;
    fn on_upstream_request(
        &self,
        request: &mut UpstreamRequest<'_>,
        state: &mut State,
    ) -> Result<(), BoxError>;
    fn on_response(&self, response: &mut ResponseView<'_>, state: &mut State) -> Result<(), BoxError>;
    fn on_complete(&self, completed: &Completed<'_>, state: &mut State);
}

/// The state of this hook; made anew where it is not, which only a mixed-up chain could bring about.
fn typed<S: Default + Send + Sync + 'static>(state: &mut State) -> &mut S {
    if !state.is::<S>() {
        *state = Box::new(S::default());
    }
    #[expect(clippy::expect_used, reason = "the line above has made it so")]
    state.downcast_mut().expect("a state of this type")
}

impl<H: Hook> ErasedHook for H {
    fn name(&self) -> &str {
        Hook::name(self)
    }

    fn new_state(&self) -> State {
        Box::new(H::State::default())
    }

    fn on_request(&self, request: &mut RequestView<'_>, state: &mut State) -> Result<Verdict, BoxError> {
        Hook::on_request(self, request, typed(state))
    }

    fn session_key(&self, request: &RequestView<'_>, state: &mut State) -> Option<SessionKey> {
        Hook::session_key(self, request, typed(state))
    }

    fn choose(&self, choice: &Choice<'_>, state: &mut State) -> Option<BackendId> {
        Hook::choose(self, choice, typed(state))
    }

    fn overrides_binding(&self) -> bool {
        Hook::overrides_binding(self)
    }

    fn on_upstream_request(
        &self,
        request: &mut UpstreamRequest<'_>,
        state: &mut State,
    ) -> Result<(), BoxError> {
        Hook::on_upstream_request(self, request, typed(state))
    }

    fn on_response(&self, response: &mut ResponseView<'_>, state: &mut State) -> Result<(), BoxError> {
        Hook::on_response(self, response, typed(state))
    }

    fn on_complete(&self, completed: &Completed<'_>, state: &mut State) {
        Hook::on_complete(self, completed, typed(state));
    }
}
