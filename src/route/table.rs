//! The routes of one listener.

/// A pool's place in its snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PoolIndex(pub u16);

impl PoolIndex {
    /// The place as an index into a slice of the snapshot's pools.
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// The routes of one listener, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteTable {
    routes: Vec<PoolIndex>,
}

impl RouteTable {
    /// Takes the pools of the routes, in order.
    pub fn new(routes: Vec<PoolIndex>) -> Self {
        Self { routes }
    }

    /// The pool that serves a request. Every route takes everything, so the first one wins.
    pub fn find(&self) -> Option<PoolIndex> {
        self.routes.first().copied()
    }
}
