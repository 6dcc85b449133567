//! What a response says of its backend's memory: whether the session that it was asked for is still there.

use http::{StatusCode, header};

use super::bind::{Binding, Bound};
use super::caching;
use super::evidence::PresentedId;
use super::session::SessionDigest;
use crate::clock::Now;
use crate::names::{Outcome, Reason};
use crate::pool::{Live, Replacement};

/// What a response says of its backend's memory. Only sessions that are proven to live there count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Testimony {
    /// Nothing.
    #[default]
    Nothing,
    /// The session is there.
    Kept(SessionDigest),
    /// The application ended it.
    Ended(SessionDigest),
    /// The application started another one in its place.
    Replaced {
        /// The one presented.
        session: SessionDigest,
        /// When its id was bound, in seconds since 1970, where a token tells.
        born_s: Option<u32>,
    },
}

impl Testimony {
    /// Gives it to the backend's live state.
    pub(super) fn give(self, live: &Live, now: Now) -> Option<Replacement> {
        match self {
            Self::Nothing => None,
            Self::Kept(session) => {
                live.session_kept(session.ring_key(), now);
                None
            }
            Self::Ended(session) => {
                live.session_ended(session.ring_key());
                None
            }
            Self::Replaced { session, born_s } => {
                Some(live.session_replaced(session.ring_key(), born_s, now))
            }
        }
    }
}

impl Bound<'_> {
    /// What the response says of the backend's memory.
    pub(super) fn testimony(&self, binding: &Binding) -> Testimony {
        match binding.outcome {
            Outcome::Rotated => {
                let replaced = binding.retired().iter().find_map(|session| {
                    let id = self.evidence.ids.iter().find(|id| id.digest == *session)?;
                    self.proves(id).then_some(id.digest)
                });
                replaced.map_or(Testimony::Nothing, |session| Testimony::Replaced {
                    session,
                    born_s: self.born_s(&session),
                })
            }
            Outcome::Released => match binding.forgotten() {
                [session, ..] => Testimony::Ended(*session),
                [] => Testimony::Nothing,
            },
            Outcome::Kept | Outcome::Bound if self.tells() => {
                let proven = self.evidence.ids.iter().find(|id| self.proves(id));
                proven.map_or(Testimony::Nothing, |id| Testimony::Kept(id.digest))
            }
            Outcome::Kept
            | Outcome::Bound
            | Outcome::Started
            | Outcome::Moved
            | Outcome::LostAfterMove
            | Outcome::LostNoProof
            | Outcome::LostAtHome => Testimony::Nothing,
        }
    }

    /// Whether it is proven that this session lives on the backend that answers: by the server's own word, by a
    /// token that vouches for this very id, or because it was learned.
    fn proves(&self, id: &PresentedId) -> bool {
        let vouched = || {
            let token = self.decision.token.as_ref();
            token.is_some_and(|token| token.backend == self.home.tag() && token.vouches_for(&id.digest))
        };
        match self.decision.reason {
            Reason::Route => id.route == Some(self.decision.backend),
            Reason::LbCookie => vouched(),
            Reason::Learned => {
                self.policy.learned.peek(&id.digest, self.now) == Some(self.home.tag()) || vouched()
            }
            Reason::Conflict | Reason::Hash | Reason::Moved | Reason::New => false,
        }
    }

    /// When the session's id was bound here.
    fn born_s(&self, session: &SessionDigest) -> Option<u32> {
        let mut tokens = self.evidence.tokens.iter();
        tokens
            .find(|token| token.backend == self.home.tag() && token.vouches_for(session))
            .map(|token| token.seen_s)
    }

    /// Whether the answer may come from the session: pictures, scripts and errors are answered without a look at it.
    fn tells(&self) -> bool {
        let status = self.response.status;
        let answered = status.is_success() || status.is_redirection() && status != StatusCode::NOT_MODIFIED;
        answered && !caching::may_be_shared(self.response) && !self.is_asset()
    }

    fn is_asset(&self) -> bool {
        let Some(media_type) = self.response.headers.get(header::CONTENT_TYPE) else { return false };
        let is = |kind: &str| {
            let start = media_type.as_bytes().get(..kind.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(kind.as_bytes()))
        };
        ["image/", "font/", "audio/", "video/", "text/css", "text/javascript", "application/javascript"]
            .into_iter()
            .any(is)
    }
}
