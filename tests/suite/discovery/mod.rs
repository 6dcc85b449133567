//! Backends that come and go: whatever a resolver or a file does wrong, none is lost by it.

#[cfg(feature = "dns")]
mod by_dns;
mod by_file;
mod own_source;

use std::sync::{Arc, Mutex};

use steadfast::discovery::{Found, Sink, Source, Watcher};
use steadfast::names::PoolName;
use tokio::task::JoinHandle;

use crate::support::eventually::eventually;

/// Notes what it is told.
#[derive(Default, Debug)]
struct Notes(Mutex<Vec<(PoolName, Vec<Found>)>>);

impl Sink for Notes {
    fn found(&self, pool: &PoolName, backends: Vec<Found>) {
        self.0.lock().unwrap().push((pool.clone(), backends));
    }
}

/// A running watcher and what it told; gone when dropped.
struct Watched {
    notes: Arc<Notes>,
    task: JoinHandle<()>,
}

impl Watched {
    fn start(sources: Vec<(&str, Box<dyn Source>)>) -> Self {
        let notes = Arc::new(Notes::default());
        let sources = sources.into_iter().map(|(pool, source)| (PoolName::new(pool), source)).collect();
        let watcher = Watcher::new(sources, Arc::clone(&notes) as Arc<dyn Sink>);
        Self { notes, task: tokio::spawn(watcher.run()) }
    }

    /// All that was told of a pool: `id address weight` of each backend.
    fn told(&self, pool: &str) -> Vec<Vec<String>> {
        let notes = self.notes.0.lock().unwrap();
        notes.iter().filter(|(name, _)| name.as_str() == pool).map(|(_, found)| shown(found)).collect()
    }

    /// Waits until the last that was told of a pool is this.
    async fn until(&self, pool: &str, expected: &[&str]) {
        let what = format!("{pool} has {expected:?}");
        eventually(&what, async || (self.told(pool).last()? == expected).then_some(())).await;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn shown(found: &[Found]) -> Vec<String> {
    found.iter().map(|found| format!("{} {} {}", found.id, found.address, found.weight)).collect()
}
