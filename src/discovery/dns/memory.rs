//! The last good answer to each question, so that a failed one loses nobody.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::said::{Said, SaidOfHost};
use crate::discovery::found::is_reachable;

/// The addresses of hosts, as they were last answered.
#[derive(Default, Debug)]
pub(super) struct Memory {
    hosts: HashMap<String, Host>,
}

/// One host's addresses, sorted, IPv4 first.
#[derive(Default, Debug)]
struct Host {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    /// Which one stands for the host where only one can.
    chosen: Option<IpAddr>,
}

/// What is to be thought of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Thought {
    /// These addresses hold.
    Known {
        addresses: Vec<IpAddr>,
        ttl: Duration,
        /// What could not be asked, so that a part is as it was before.
        doubt: Option<String>,
    },
    /// The resolver says that there is none. What was known is still remembered.
    Empty(String),
    /// It said nothing of use. What was known is still remembered.
    Failed(String),
}

impl Memory {
    /// Takes in what was said of a host.
    ///
    /// Only an answer with an address changes anything. Then one family's silence keeps that family's last answer, and
    /// its "no such record" is believed: the name is alive, as the other family shows.
    pub(super) fn hear(&mut self, host: &str, said: SaidOfHost) -> Thought {
        let (v4, v6) = match (reachable(said.v4), reachable(said.v6)) {
            (Said::Nothing(v4), Said::Nothing(v6)) if v4 == v6 => return Thought::Empty(v4),
            (Said::Nothing(v4), Said::Nothing(v6)) => return Thought::Empty(format!("{v4}, {v6}")),
            (Said::Failed(why), Said::Nothing(_) | Said::Failed(_))
            | (Said::Nothing(_), Said::Failed(why)) => {
                return Thought::Failed(why);
            }
            alive => alive,
        };
        let known = self.hosts.entry(host.to_owned()).or_default();
        let (mut shortest, mut doubt) = (Duration::MAX, None);
        for (part, said) in [(&mut known.v4, v4), (&mut known.v6, v6)] {
            match said {
                Said::Records { mut records, ttl } => {
                    records.sort_unstable();
                    records.dedup();
                    shortest = shortest.min(ttl);
                    *part = records;
                }
                Said::Nothing(_) => part.clear(),
                Said::Failed(why) => doubt = Some(why),
            }
        }
        Thought::Known { addresses: known.addresses().collect(), ttl: shortest, doubt }
    }

    /// The one address that stands for a host: it stays as long as it is among those that are known.
    pub(super) fn choose(&mut self, host: &str) -> Option<IpAddr> {
        let known = self.hosts.get_mut(host)?;
        let kept = known.chosen.filter(|chosen| known.addresses().any(|address| address == *chosen));
        known.chosen = kept.or_else(|| known.addresses().next());
        known.chosen
    }

    /// Forgets all hosts but those that are still named.
    pub(super) fn retain(&mut self, named: impl Fn(&str) -> bool) {
        self.hosts.retain(|host, _| named(host));
    }
}

impl Host {
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().chain(&self.v6).copied()
    }
}

/// Leaves out addresses where nothing can be; where none is left, that is as good as none.
fn reachable(said: Said<IpAddr>) -> Said<IpAddr> {
    match said {
        Said::Records { mut records, ttl } => {
            records.retain(|ip| is_reachable(*ip));
            if records.is_empty() {
                return Said::Nothing("only addresses where nothing can be reached".to_owned());
            }
            Said::Records { records, ttl }
        }
        said @ (Said::Nothing(_) | Said::Failed(_)) => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "app.example";

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn records(texts: &[&str]) -> Said<IpAddr> {
        Said::Records { records: ips(texts), ttl: Duration::from_secs(60) }
    }

    fn nothing() -> Said<IpAddr> {
        Said::Nothing("no record".to_owned())
    }

    fn failed() -> Said<IpAddr> {
        Said::Failed("silent".to_owned())
    }

    fn known(memory: &mut Memory, v4: Said<IpAddr>, v6: Said<IpAddr>) -> (Vec<IpAddr>, bool) {
        match memory.hear(HOST, SaidOfHost { v4, v6 }) {
            Thought::Known { addresses, doubt, .. } => (addresses, doubt.is_some()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_familys_failure_keeps_that_familys_addresses() {
        let mut memory = Memory::default();
        let both = ips(&["10.0.0.1", "fd00::1"]);
        assert_eq!(known(&mut memory, records(&["10.0.0.1"]), records(&["fd00::1"])), (both.clone(), false));
        assert_eq!(known(&mut memory, records(&["10.0.0.1"]), failed()), (both.clone(), true));
        assert_eq!(known(&mut memory, failed(), records(&["fd00::1"])), (both, true));
        let other = ips(&["10.0.0.2", "fd00::1"]);
        assert_eq!(
            known(&mut memory, records(&["10.0.0.2"]), failed()),
            (other, true),
            "what answers changes"
        );
    }

    #[test]
    fn a_family_that_is_gone_while_the_name_lives_is_gone() {
        let mut memory = Memory::default();
        known(&mut memory, records(&["10.0.0.1"]), records(&["fd00::1"]));
        assert_eq!(known(&mut memory, records(&["10.0.0.1"]), nothing()), (ips(&["10.0.0.1"]), false));
    }

    #[test]
    fn an_answer_without_an_address_changes_nothing() {
        let mut memory = Memory::default();
        let all = ips(&["10.0.0.1", "fd00::1"]);
        known(&mut memory, records(&["10.0.0.1"]), records(&["fd00::1"]));
        for (v4, v6, empty) in [
            (nothing(), nothing(), true),
            (nothing(), failed(), false),
            (failed(), nothing(), false),
            (failed(), failed(), false),
            (records(&["0.0.0.0"]), nothing(), true),
            (records(&["0.0.0.0"]), failed(), false),
        ] {
            let thought = memory.hear(HOST, SaidOfHost { v4: v4.clone(), v6: v6.clone() });
            assert_eq!(matches!(thought, Thought::Empty(_)), empty, "{v4:?} {v6:?}: {thought:?}");
            assert!(!matches!(thought, Thought::Known { .. }), "{v4:?} {v6:?}: {thought:?}");
            assert_eq!(known(&mut memory, records(&["10.0.0.1"]), failed()).0, all, "{v4:?} {v6:?}");
        }
    }

    #[test]
    fn the_shortest_time_to_live_counts_and_repetition_does_not() {
        let v4 = Said::Records {
            records: ips(&["10.0.0.2", "10.0.0.1", "10.0.0.2"]),
            ttl: Duration::from_secs(9),
        };
        let thought = Memory::default().hear(HOST, SaidOfHost { v4, v6: records(&["fd00::1"]) });
        let addresses = ips(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
        assert_eq!(thought, Thought::Known { addresses, ttl: Duration::from_secs(9), doubt: None });
    }

    #[test]
    fn the_chosen_address_stays_while_it_is_known() {
        let mut memory = Memory::default();
        assert_eq!(memory.choose(HOST), None);
        known(&mut memory, records(&["10.0.0.2"]), records(&["fd00::1"]));
        let chosen = |memory: &mut Memory| memory.choose(HOST).expect("an address").to_string();
        assert_eq!(chosen(&mut memory), "10.0.0.2", "IPv4 first");
        known(&mut memory, records(&["10.0.0.1", "10.0.0.2"]), nothing());
        assert_eq!(chosen(&mut memory), "10.0.0.2", "a lower one does not displace it");
        known(&mut memory, records(&["10.0.0.1"]), nothing());
        assert_eq!(chosen(&mut memory), "10.0.0.1");
        memory.retain(|host| host != HOST);
        assert_eq!(memory.choose(HOST), None);
    }
}
