//! Runs the sources of all pools, and tells the sink when a pool's backends are others.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::backoff::Backoff;
use super::found::{Answer, Fault, Found, MAX_FOUND, in_order};
use super::source::{Sink, Source};
use crate::names::PoolName;

/// Between two answers of one source, so that one that never waits leaves the processor to others.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs sources until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    sources: Vec<(PoolName, Box<dyn Source>)>,
    sink: Arc<dyn Sink>,
}

impl Watcher {
    /// Watches these sources; a pool has one.
    pub fn new(sources: Vec<(PoolName, Box<dyn Source>)>, sink: Arc<dyn Sink>) -> Self {
        Self { sources, sink }
    }

    /// Looks, tells, waits; ends only when the future is dropped. Without sources it waits for that, too.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        for (pool, source) in self.sources {
            tasks.spawn(watch(pool, source, Arc::clone(&self.sink)));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                log::error!(
                    "discovery of one pool has ended, please report this as a fault of Steadfast: {error}"
                );
            }
        }
        std::future::pending().await
    }
}

async fn watch(pool: PoolName, mut source: Box<dyn Source>, sink: Arc<dyn Sink>) {
    let mut told = Told::default();
    let mut backoff = Backoff::default();
    let mut trouble = Trouble::default();
    loop {
        match look(source.as_mut()).await {
            Ok(Answer { found, doubt }) => {
                backoff.succeeded();
                if let Some(found) = told.news(found) {
                    log::info!("discovery of pool {pool}: {}", summary(&found));
                    sink.found(&pool, found);
                }
                match doubt {
                    Some(doubt) if trouble.is_new(&doubt) => {
                        log::warn!("discovery of pool {pool}: {doubt}; a part stays as it was");
                    }
                    Some(_) => {}
                    None if trouble.ends() => log::info!("discovery of pool {pool} answers again"),
                    None => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(fault) => {
                if trouble.is_new(&fault) {
                    let kept = told.count();
                    log::warn!(
                        "discovery of pool {pool}: {fault}; keeping the last answer ({kept} backends)"
                    );
                }
                tokio::time::sleep(backoff.failed()).await;
            }
        }
    }
}

/// One look; a panic in it is a failure like others, so that one source's fault is not the end of it.
async fn look(source: &mut dyn Source) -> Result<Answer, Fault> {
    let mut next = pin!(async { source.next().await });
    let answer = poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| next.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| Err(panicked(&*panic)).into())
    })
    .await?;
    if answer.found.len() > MAX_FOUND {
        return Err(Fault::new(format!(
            "it names {} backends, more than the {MAX_FOUND} that are taken; split the pool",
            answer.found.len()
        )));
    }
    Ok(answer)
}

fn panicked(panic: &(dyn Any + Send)) -> Fault {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Fault::new(format!("its source panicked: {}", words.unwrap_or("without words")))
}

fn summary(found: &[Found]) -> String {
    const SHOWN: usize = 10;
    let ids: Vec<&str> = found.iter().take(SHOWN).map(|backend| backend.id.as_str()).collect();
    let more = if found.len() > SHOWN { ", …" } else { "" };
    match found.len() {
        0 => "no backend any more".to_owned(),
        1 => format!("1 backend: {}", ids.join(", ")),
        count => format!("{count} backends: {}{more}", ids.join(", ")),
    }
}

/// What the sink was told last.
#[derive(Default, Debug)]
struct Told(Option<Vec<Found>>);

impl Told {
    /// What the sink is to be told, if it is anything else.
    fn news(&mut self, found: Vec<Found>) -> Option<Vec<Found>> {
        let found = in_order(found);
        if self.0.as_ref() == Some(&found) {
            return None;
        }
        self.0 = Some(found.clone());
        Some(found)
    }

    fn count(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }
}

/// The faults since the last good answer: each is said once, however often it comes back in turn with others.
#[derive(Default, Debug)]
struct Trouble(Vec<Fault>);

impl Trouble {
    /// Faults that are remembered; beyond them they are said again.
    const REMEMBERED: usize = 16;

    fn is_new(&mut self, fault: &Fault) -> bool {
        if self.0.contains(fault) {
            return false;
        }
        if self.0.len() >= Self::REMEMBERED {
            self.0.clear();
        }
        self.0.push(fault.clone());
        true
    }

    /// Whether there was any.
    fn ends(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ports: &[u16]) -> Vec<Found> {
        ports.iter().map(|port| Found::at(([10, 0, 0, 1], *port).into())).collect()
    }

    #[test]
    fn only_another_set_is_news() {
        let mut told = Told::default();
        assert_eq!(told.news(found(&[2, 1])), Some(found(&[1, 2])));
        assert_eq!(told.news(found(&[1, 2, 2])), None, "order and repetition are no news");
        assert_eq!(told.news(found(&[1])), Some(found(&[1])));
        let mut heavier = found(&[1]);
        heavier[0].weight = 2;
        assert_eq!(told.news(heavier.clone()), Some(heavier), "a weight is news");
        assert_eq!(told.news(Vec::new()), Some(Vec::new()));
        assert_eq!(told.news(Vec::new()), None);
    }

    #[test]
    fn that_there_is_none_is_news_at_first() {
        assert_eq!(Told::default().news(Vec::new()), Some(Vec::new()));
    }

    #[test]
    fn each_fault_is_said_once_until_it_is_over() {
        let mut trouble = Trouble::default();
        let (silent, broken) = (Fault::new("silent"), Fault::new("broken"));
        assert!(!trouble.ends());
        assert!(trouble.is_new(&silent) && trouble.is_new(&broken));
        assert!(!trouble.is_new(&silent) && !trouble.is_new(&broken));
        assert!(trouble.ends() && !trouble.ends());
        assert!(trouble.is_new(&silent));
        for n in 0..1000 {
            trouble.is_new(&Fault::new(n.to_string()));
            assert!(trouble.0.len() <= Trouble::REMEMBERED);
        }
    }
}
