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
#[expect(dead_code, reason = "some of it serves the suite only")]
mod support;

#[cfg(test)]
#[path = "e2e/alerts.rs"]
mod alerts;
#[cfg(test)]
#[path = "e2e/dashboard.rs"]
mod dashboard;
#[cfg(test)]
#[path = "e2e/dns.rs"]
mod dns;
#[cfg(test)]
#[path = "e2e/otlp.rs"]
mod otlp;
#[cfg(test)]
#[path = "e2e/promtool.rs"]
mod promtool;

#[cfg(test)]
#[path = "e2e/schemathesis.rs"]
mod schemathesis;

#[cfg(test)]
#[path = "e2e/socket_io.rs"]
mod socket_io;

/// The Tomcats' names, which are the backends' ids too.
const NAMES: [&str; 3] = ["tomcat1", "tomcat2", "tomcat3"];

/// How many browsers most tests use.
const SESSIONS: u32 = 200;

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
    fn browser(&self, number: u32, cookies: Cookies) -> Browser {
        Browser::new(&self.balancer.url(), source(number), &format!("Browser-{number}"), cookies)
    }

    fn browsers(&self, cookies: Cookies) -> Vec<Browser> {
        (0..SESSIONS).map(|number| self.browser(number, cookies)).collect()
    }
}

/// One of fifty addresses of this machine.
fn source(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + number % 50)
}

/// Steadfast's configuration for these Tomcats.
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

/// Lets all browsers send requests until `stop` is set, and counts their requests in `done`.
fn load(browsers: Vec<Browser>, done: &Arc<AtomicUsize>, stop: &Arc<AtomicBool>) -> JoinSet<Browser> {
    let running = browsers.into_iter().map(|mut browser| {
        let (done, stop) = (Arc::clone(done), Arc::clone(stop));
        async move {
            while !stop.load(Ordering::Relaxed) {
                browser.turn().await;
                done.fetch_add(1, Ordering::Relaxed);
            }
            browser
        }
    });
    running.collect()
}

/// Waits until the browsers under load have sent `count` more requests.
async fn more(done: &AtomicUsize, count: usize) {
    let goal = done.load(Ordering::Relaxed) + count;
    eventually("the load goes on", async || (done.load(Ordering::Relaxed) >= goal).then_some(())).await;
}

/// The server that answered each browser last.
fn homes(browsers: &[Browser]) -> BTreeMap<String, Option<String>> {
    browsers.iter().map(|browser| (browser.name.clone(), browser.seen.server.clone())).collect()
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
        eprintln!("{title}: {requests} requests, {lost} losses, {} faults, {servers:?}", faults.len());
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

/// Twenty turns each, of which the last ten come from elsewhere under another name: what a balancer could
/// guess a browser's home by is of no use, only what the session left with the browser is.
async fn roam(cookies: Cookies) {
    let cluster = Cluster::start().await;
    let mut browsers = turns(cluster.browsers(cookies), 10).await;
    for (number, browser) in (0..).zip(&mut browsers) {
        browser.appear_as(source(number + 17), &format!("Roaming-{number}"));
    }
    let browsers = turns(browsers, 10).await;
    let total = Total::of(&browsers);
    total.report(&format!("roaming, cookies: {cookies:?}"));
    total.assert_clean();
    total.assert_all_used();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn a_roaming_browser_loses_nothing() {
    roam(Cookies::All).await;
}

/// The balancer's own cookie, if it has one, never comes back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn a_browser_that_keeps_only_the_servers_cookie_loses_nothing() {
    roam(Cookies::Only("JSESSIONID")).await;
}

/// No cookie ever comes back: the session's id is in the links.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn a_browser_without_cookies_that_follows_links_loses_nothing() {
    roam(Cookies::Refused).await;
}

/// An instance dies under load. Its sessions are gone, which each of its browsers notices once; nobody else
/// notices anything, and no request fails. When it is back, every session stays where it is by then.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn a_killed_instance_costs_its_own_sessions_once_and_nobody_else_anything() {
    let mut cluster = Cluster::start().await;
    let victim = Some(NAMES[0].to_owned());
    let browsers = turns(cluster.browsers(Cookies::All), 6).await;
    let before = homes(&browsers);
    let total = Total::of(&browsers);
    total.report("before the kill");
    total.assert_clean();
    total.assert_all_used();

    // It dies while requests are on their way to it, and the load goes on.
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let loaded = load(browsers, &done, &stop);
    more(&done, 400).await;
    cluster.tomcats[0].kill();
    more(&done, 400).await;
    let newcomers = (SESSIONS..SESSIONS + 50).map(|number| cluster.browser(number, Cookies::All)).collect();
    let newcomers = turns(newcomers, 5).await;
    more(&done, 400).await;
    stop.store(true, Ordering::Relaxed);
    // Every browser has some turns that all come after the kill.
    let browsers = turns(loaded.join_all().await, 6).await;

    let (hit, spared): (Vec<&Browser>, Vec<&Browser>) =
        browsers.iter().partition(|browser| before[&browser.name] == victim);
    let (hit_total, spared_total) = (Total::of(hit.iter().copied()), Total::of(spared.iter().copied()));
    let newcomers_total = Total::of(&newcomers);
    hit_total.report(&format!("{} sessions of the killed", hit.len()));
    spared_total.report(&format!("{} sessions of the others", spared.len()));
    newcomers_total.report("newcomers after the kill");
    spared_total.assert_clean();
    newcomers_total.assert_clean();
    assert_eq!(hit_total.faults, Vec::<String>::new(), "faults");
    for browser in &hit {
        assert_eq!(browser.seen.lost, 1, "{} loses its session once: {:?}", browser.name, browser.seen);
    }
    for browser in &spared {
        assert_eq!(browser.seen.server, before[&browser.name], "{} does not move", browser.name);
    }
    let after = homes(&browsers);
    assert!(after.values().all(|server| *server != victim), "nobody is at the killed instance");

    // It comes back, and is back in use when it answers one of those who come anew.
    cluster.tomcats[0].restart().await;
    let mut number = 1000;
    eventually("the instance is in use again", async || {
        number += 1;
        let mut probe = cluster.browser(number, Cookies::All);
        probe.turn().await;
        assert_eq!(probe.seen.faults, Vec::<String>::new());
        (probe.seen.server == victim).then_some(())
    })
    .await;
    let lost = Total::of(&browsers).lost;
    let browsers = turns(browsers, 6).await;
    let total = Total::of(&browsers);
    total.report("after its return");
    assert_eq!(total.lost, lost, "further lost sessions");
    assert_eq!(total.faults, Vec::<String>::new(), "faults");
    assert_eq!(homes(&browsers), after, "nobody moves");
}

/// A browser without cookies opens six connections at once: were its first requests spread over several
/// instances, all but one of the sessions made there would be lost.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn parallel_first_requests_of_a_browser_reach_one_instance() {
    const CLIENTS: u32 = 100;
    const CONNECTIONS: usize = 6;
    let cluster = Cluster::start().await;
    let mut running = JoinSet::new();
    for number in 0..CLIENTS {
        let together = Arc::new(Barrier::new(CONNECTIONS));
        for _ in 0..CONNECTIONS {
            // One browser by all that can be seen from outside; a pool each, so that each connects.
            let (mut part, together) = (cluster.browser(number, Cookies::All), Arc::clone(&together));
            running.spawn(async move {
                together.wait().await;
                part.turn().await;
                part
            });
        }
    }
    let parts = running.join_all().await;
    let total = Total::of(&parts);
    total.report("first requests");
    total.assert_clean();
    total.assert_all_used();
    let mut used: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    for part in &parts {
        used.entry(&part.name).or_default().insert(part.seen.server.as_deref());
    }
    let torn = used.values().filter(|servers| servers.len() > 1).count();
    eprintln!("{torn} of {} browsers reached more than one instance", used.len());
    assert_eq!(used.len(), usize::try_from(CLIENTS).unwrap());
    assert_eq!(torn, 0, "{used:?}");
}
