//! The source: asks, remembers, and waits as long as the answer may be used.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::ask::Asker;
use super::memory::{Memory, Thought};
use super::pace::pace;
use super::said::{Said, SaidOfHost, Service};
use super::services::backends;
use super::{DnsSpec, Record};
use crate::discovery::found::{Answer, Fault, Found, MAX_FOUND};
use crate::discovery::source::Source;
use crate::discovery::spec::Emptiness;

/// Targets that are asked for at once.
const ASKED_AT_ONCE: usize = 32;

/// Looks a name up, again and again.
#[derive(Debug)]
pub(super) struct Looker {
    spec: DnsSpec,
    memory: Memory,
    emptiness: Emptiness,
    /// When to look next; `None`: at once.
    due: Option<Instant>,
}

/// How one look ended.
enum Look {
    Good { found: Vec<Found>, ttl: Duration, doubt: Option<String> },
    Empty(String),
    Failed(String),
}

impl Looker {
    pub(super) fn new(spec: DnsSpec) -> Self {
        Self { spec, memory: Memory::default(), emptiness: Emptiness::default(), due: None }
    }

    async fn look(&mut self) -> Result<Look, Fault> {
        let asker = Asker::new(&self.spec)?;
        Ok(match self.spec.record {
            Record::Address { port } => self.look_for_addresses(&asker, port).await,
            Record::Srv => match asker.services(&self.spec.name).await {
                Said::Records { records, ttl } => self.look_for_targets(&asker, &records, ttl).await,
                Said::Nothing(why) => Look::Empty(why),
                Said::Failed(why) => Look::Failed(why),
            },
        })
    }

    async fn look_for_addresses(&mut self, asker: &Asker, port: u16) -> Look {
        let said = asker.host(&self.spec.name).await;
        match self.memory.hear(&self.spec.name, said) {
            Thought::Known { addresses, ttl, doubt } => {
                let found = addresses.into_iter().map(|ip| Found::at(SocketAddr::new(ip, port))).collect();
                Look::Good { found, ttl, doubt }
            }
            Thought::Empty(why) => Look::Empty(why),
            Thought::Failed(why) => Look::Failed(why),
        }
    }

    /// The addresses of all targets. One that has none now keeps those that it had: the SRV record still names it.
    async fn look_for_targets(&mut self, asker: &Asker, services: &[Service], ttl: Duration) -> Look {
        let targets: BTreeSet<&str> = services.iter().map(|service| service.target.as_str()).collect();
        if targets.len() > MAX_FOUND {
            let count = targets.len();
            return Look::Failed(format!("{count} targets, more than the {MAX_FOUND} that are taken"));
        }
        let (mut shortest, mut doubt) = (ttl, None);
        let mut waiting = targets.iter().map(|target| (*target).to_owned());
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < ASKED_AT_ONCE
                && let Some(target) = waiting.next()
            {
                asked.spawn(host_of(asker.clone(), target));
            }
            let Some(answered) = asked.join_next().await else { break };
            let Ok((target, said)) = answered else {
                doubt = Some("the question for a target's address was broken off".to_owned());
                continue;
            };
            match self.memory.hear(&target, said) {
                Thought::Known { ttl, doubt: missing, .. } => {
                    shortest = shortest.min(ttl);
                    doubt = doubt.or_else(|| Some(format!("target {target}: {}", missing?)));
                }
                Thought::Empty(why) | Thought::Failed(why) => {
                    doubt = doubt.or_else(|| Some(format!("target {target}: {why}")));
                }
            }
        }
        self.memory.retain(|host| targets.contains(host));
        let chosen: HashMap<&str, _> =
            targets.iter().filter_map(|target| Some((*target, self.memory.choose(target)?))).collect();
        let found = backends(services, |target| chosen.get(target).copied());
        match (found.is_empty(), doubt) {
            (true, why) => Look::Failed(why.unwrap_or_else(|| "no target has an address".to_owned())),
            (false, doubt) => Look::Good { found, ttl: shortest, doubt },
        }
    }
}

async fn host_of(asker: Asker, target: String) -> (String, SaidOfHost) {
    // The dot at the end: a target is a full name, which no search list is to change.
    let said = asker.host(&format!("{target}.")).await;
    (target, said)
}

#[async_trait]
impl Source for Looker {
    async fn next(&mut self) -> Result<Answer, Fault> {
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        let look = self.look().await;
        let named = |why: String| Fault(format!("{}: {why}", self.spec.name));
        let (wait, answer) = match look? {
            Look::Good { found, ttl, doubt } => {
                self.emptiness.over();
                (Some(pace(ttl, &self.spec)), Ok(Answer { found, doubt: doubt.map(named) }))
            }
            Look::Empty(why) => {
                let believed = self.emptiness.seen(self.spec.on_empty);
                let answer = if believed {
                    self.memory.retain(|_| false);
                    Ok(Vec::new().into())
                } else {
                    Err(named(why))
                };
                (Some(pace(self.spec.refresh, &self.spec)), answer)
            }
            // The watcher waits, longer each time.
            Look::Failed(why) => {
                self.emptiness.over();
                (None, Err(named(why)))
            }
        };
        self.due = wait.map(|wait| Instant::now() + wait);
        answer
    }
}
