//! Affinity: where a session lives, and how to keep it there. The heart of Steadfast.
//!
//! A request is read into [`Evidence`]; [`decide()`] names its backend and the [`Reason`](crate::names::Reason);
//! [`bind()`] says what the response must carry so that the next request brings evidence again. No I/O, no
//! clock, no globals: `l7` calls these functions with a socket behind it, `steadfast explain` and the tests
//! without one, and all get the same answer.
//!
//! May use `pool` (to read), `names` and `clock`.

mod attributes;
mod bind;
mod caching;
mod claim;
mod connection_id;
mod cookie;
mod decide;
mod evidence;
mod explain;
mod first_contact;
mod flow;
mod learned;
mod pass;
mod path_parameter;
mod policy;
mod session;
mod set_cookie;
mod testimony;
mod token;
mod unsure;

pub use bind::{Binding, Entropy, ResponseView, bind};
pub use claim::{Claim, claim, in_order};
pub use connection_id::{ConnectionIdForm, ConnectionIds};
pub use cookie::{Pair, Stripped, pairs, strip};
pub use decide::{Circumstance, Decision, Refusal, Verdict, decide, foresee, note};
pub use evidence::{Contact, Evidence, PresentedId, RequestView, Source};
pub use explain::{Explanation, Finding, Weight, explain, explain_decided};
pub use first_contact::FirstContacts;
pub use flow::{ClientName, Flow, FlowNote, FlowPolicy};
pub use learned::{
    Batch, Change, GAPS_S, Gap, JOURNAL_LENGTH, Journal, Learned, Origin, RETIRED_FOR, Remembered,
};
pub use pass::Pass;
pub use policy::{CookiePolicy, FirstContact, Insert, Mode, Policy};
pub use session::{Fingerprint, SessionDigest, SessionSeed};
pub use set_cookie::{Keeps, SameSite, SetCookie, parse as parse_set_cookie};
pub use token::{Flags, Key, KeyRing, PoolBinding, Refused, SealedToken, TOKEN_LENGTH, Token};
pub use unsure::{Unsure, unsure};
