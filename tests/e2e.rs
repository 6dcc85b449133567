//! Steadfast in front of three real Tomcats whose sessions live in their memory: is a session ever lost?
//!
//! Needs Debian's packages tomcat10 and tomcat10-examples, so every test is ignored unless asked for. The
//! tests take turns: three Javas, the balancer and two hundred browsers are enough for one machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Barrier, Mutex, MutexGuard};
use tokio::task::JoinSet;

use support::client::{Browser, Cookies};
use support::eventually::eventually;
use support::ports::Port;
use support::steadfast::Steadfast;
use support::tomcat::Tomcat;

#[cfg(test)]
mod support;

/// The Tomcats' names, which are the backends' ids too.
const NAMES: [&str; 3] = ["tomcat1", "tomcat2", "tomcat3"];

/// How many browsers most tests use.
const SESSIONS: usize = 200;

/// Three Tomcats behind Steadfast.
struct Cluster {
    balancer: Steadfast,
    tomcats: Vec<Tomcat>,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    async fn start() -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let tomcats = Tomcat::start_all(&NAMES).await;
        let port = Port::reserve();
        let yaml = configuration(&port, &tomcats);
        Self { balancer: Steadfast::start(port, &yaml).await, tomcats, _turn: turn }
    }

    /// A browser that nobody has seen before: one of `number`'s own name and one of a few addresses.
    fn browser(&self, number: usize, cookies: Cookies) -> Browser {
        let host = u8::try_from(number % 50).unwrap() + 2;
        let source = Ipv4Addr::new(127, 0, 0, host);
        Browser::new(&self.balancer.url(), source, &format!("Browser-{number}"), cookies)
    }

    fn browsers(&self, cookies: Cookies) -> Vec<Browser> {
        (0..SESSIONS).map(|number| self.browser(number, cookies)).collect()
    }
}

fn configuration(port: &Port, tomcats: &[Tomcat]) -> String {
    let address = port.address();
    let backends: Vec<String> = tomcats
        .iter()
        .map(|tomcat| format!("{{ id: {}, address: \"{}\" }}", tomcat.name(), tomcat.address()))
        .collect();
    let backends = backends.join(", ");
    format!(
        r#"version: 1
state_dir: state
listeners:
  - {{ name: web, protocol: http, address: "{address}", routes: [ {{ pool: app }} ] }}
pools:
  app:
    backends: [ {backends} ]
    affinity: {{ application_cookie: JSESSIONID, path_parameter: jsessionid }}
    health:
      http: {{ path: /examples/, expect: [200-399] }}
      interval: 500ms
      timeout: 400ms
      rise: 2
      fall: 3
"#
    )
}

/// Lets all browsers do `count` turns at the same time.
async fn turns(browsers: Vec<Browser>, count: usize) -> Vec<Browser> {
    let running = browsers.into_iter().map(|mut browser| async move {
        browser.turns(count).await;
        browser
    });
    running.collect::<JoinSet<_>>().join_all().await
}

/// What all browsers together saw.
#[derive(Debug, Default)]
struct Total {
    requests: usize,
    lost: usize,
    faults: Vec<String>,
    servers: BTreeMap<String, usize>,
}

impl Total {
    fn of<'a>(browsers: impl IntoIterator<Item = &'a Browser>) -> Self {
        let mut total = Self::default();
        for Browser { seen, .. } in browsers {
            total.requests += seen.requests;
            total.lost += seen.lost;
            total.faults.extend(seen.faults.iter().cloned());
            for (server, count) in &seen.servers {
                *total.servers.entry(server.clone()).or_default() += count;
            }
        }
        total
    }

    /// Prints the figures under a title.
    fn report(&self, title: &str) {
        let Self { requests, lost, faults, servers } = self;
        println!("{title}: {requests} requests, {lost} losses, {} faults, {servers:?}", faults.len());
    }

    /// Nothing was lost and nothing went wrong.
    fn assert_clean(&self) {
        assert_eq!(self.lost, 0, "lost sessions");
        assert_eq!(self.faults, Vec::<String>::new(), "faults");
    }

    fn assert_all_used(&self) {
        assert_eq!(self.servers.keys().collect::<Vec<_>>(), NAMES.iter().collect::<Vec<_>>());
    }
}

/// The measuring device itself: one server loses nothing, and going to another server is one loss, once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn a_browser_notices_a_lost_session() {
    let tomcats = Tomcat::start_all(&["here", "there"]).await;
    for cookies in [Cookies::All, Cookies::Only("JSESSIONID"), Cookies::Refused] {
        let mut browser = Browser::new(&tomcats[0].url(), Ipv4Addr::new(127, 0, 0, 9), "Nobody", cookies);
        browser.turns(10).await;
        let first = browser.seen.session.clone();
        assert_eq!((browser.seen.lost, browser.seen.faults.len()), (0, 0), "{cookies:?}");
        browser.go_to(&tomcats[1].url());
        browser.turns(10).await;
        assert_eq!((browser.seen.lost, browser.seen.faults.len()), (1, 0), "{cookies:?}");
        assert_eq!(browser.seen.servers, BTreeMap::from([("here".to_owned(), 10), ("there".to_owned(), 10)]));
        assert_ne!(browser.seen.session, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn browsers_never_lose_their_sessions() {
    let cluster = Cluster::start().await;
    let browsers = turns(cluster.browsers(Cookies::All), 20).await;
    let total = Total::of(&browsers);
    total.report("cookie jars");
    total.assert_clean();
    total.assert_all_used();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn a_browser_that_keeps_only_the_servers_cookie_loses_nothing() {
    let cluster = Cluster::start().await;
    let browsers = turns(cluster.browsers(Cookies::Only("JSESSIONID")), 20).await;
    let total = Total::of(&browsers);
    total.report("JSESSIONID only");
    total.assert_clean();
    total.assert_all_used();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn a_browser_without_cookies_that_follows_links_loses_nothing() {
    let cluster = Cluster::start().await;
    let browsers = turns(cluster.browsers(Cookies::Refused), 20).await;
    let total = Total::of(&browsers);
    total.report("links only");
    total.assert_clean();
    total.assert_all_used();
}
