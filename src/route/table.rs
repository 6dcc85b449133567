//! The routes of one listener.

use std::sync::Arc;

use super::action::{Action, HeaderChanges, Mirror, Rewrite};
use super::index::{Index, Position};
use super::matcher::Matcher;
use super::path;
use super::view::RequestView;

/// A pool's place in its snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PoolIndex(pub u16);

impl PoolIndex {
    /// The place as an index into a slice of the snapshot's pools.
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// A rule that says what becomes of requests.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name in log and `explain`: as the configuration gives it, else its number in the listener.
    pub name: Arc<str>,
    /// Its place among the listener's routes, from 0.
    pub place: usize,
    /// Which requests it takes.
    pub matcher: Matcher,
    /// What becomes of them.
    pub action: Action,
    /// What the backend is asked instead.
    pub rewrite: Rewrite,
    /// What is changed in the header fields that the backend gets.
    pub request_headers: HeaderChanges,
    /// What is changed in the header fields that the client gets.
    pub response_headers: HeaderChanges,
    /// Where else they are sent.
    pub mirror: Option<Mirror>,
}

/// The routes of one listener, in order.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    index: Index,
}

/// What routes say of a request.
#[derive(Clone, Copy, Debug)]
pub enum Found<'t> {
    /// The first route that takes it.
    Route(&'t Arc<Route>),
    /// None takes it.
    Nothing,
    /// Servers read its path in several ways, which lead to different routes: a way around one of them.
    Ambiguous,
}

impl RouteTable {
    /// Takes the routes in order.
    pub fn new(routes: Vec<Route>) -> Self {
        let index = Index::new(routes.iter().map(|route| &route.matcher));
        Self { routes: routes.into_iter().map(Arc::new).collect(), index }
    }

    /// The first route that takes a request.
    pub fn find(&self, request: &RequestView<'_>) -> Found<'_> {
        let raw = request.path().filter(|_| self.index.reads_path());
        let Some(raw) = raw else { return self.found(self.first(request, None)) };
        if !path::is_readable(raw) {
            return Found::Ambiguous;
        }
        let first = self.first(request, Some(&path::usual(raw)));
        if path::others(raw).any(|reading| self.first(request, Some(&reading)) != first) {
            return Found::Ambiguous;
        }
        self.found(first)
    }

    fn first(&self, request: &RequestView<'_>, path: Option<&[u8]>) -> Option<Position> {
        self.index.first(request.host, path, &|position| {
            let route = self.route(position);
            route.is_some_and(|route| route.matcher.conditions.iter().all(|each| each.holds(request)))
        })
    }

    fn route(&self, position: Position) -> Option<&Arc<Route>> {
        self.routes.get(usize::try_from(position).ok()?)
    }

    fn found(&self, position: Option<Position>) -> Found<'_> {
        position.and_then(|position| self.route(position)).map_or(Found::Nothing, Found::Route)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
