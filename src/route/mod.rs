//! Routes: rules that choose what becomes of a request. First match wins; compiled once per snapshot.
//!
//! A [`Matcher`] says which requests a route takes. [`RouteTable`] finds the first route that takes one: hosts and
//! paths lead through an index to the few routes that are worth a look, whose other conditions are then tested.
//! Paths are read as servers read them, whatever way they are written (`path.rs`).
//!
//! Knows nothing of sockets. May use `affinity`, for the one way in which cookies are read.

mod action;
mod index;
mod matcher;
mod path;
mod server_names;
mod table;
mod template;
mod view;

pub use action::{Action, FixedAnswer, HeaderChanges, Mirror, MirrorPlace, Part, Rewrite, Split};
pub use matcher::{Condition, HostPattern, Matcher, MediaRange, PathPattern, ValueTest, quality};
pub use server_names::{ServerNameRoute, ServerNameRoutes};
pub use table::{Found, PoolIndex, Route, RouteTable};
pub use template::{Filling, Piece, Template};
pub use view::RequestView;
