//! Three replicas that share their learned tables through a real redis-server: what do clients without cookies lose,
//! with it, without it, and when it dies?
//!
//! Needs Debian's package redis-server, so every test is ignored unless asked for.

#[cfg(test)]
#[expect(dead_code, reason = "some of it serves the suite only")]
mod support;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    use steadfast::store::{SharedTable, SharedTally};

    use crate::support::app::App;
    use crate::support::balancer::{Balancer, SHARED, apps};
    use crate::support::engine::Engine;
    use crate::support::eventually::eventually;
    use crate::support::exchange::{Response, get};

    /// Three replicas before three applications.
    struct Cluster {
        apps: Vec<App>,
        replicas: Vec<Balancer>,
    }

    impl Cluster {
        /// Shares through an engine, if there is one. The deadline for its answers is long: machines that run tests are
        /// slow, and no test asks how fast it is.
        async fn start(engine: Option<&Engine>) -> Self {
            Self::with_timeout(engine, "3s").await
        }

        async fn with_timeout(engine: Option<&Engine>, timeout: &str) -> Self {
            let shared = engine
                .map(|engine| format!("shared: {{ url: \"{}\", timeout: {timeout} }}", engine.url()))
                .unwrap_or_default();
            let pool = format!(
                "    affinity: {{ path_parameter: jsessionid, learn: {{ {shared} }} }}\n    health: {{ tcp: true, interval: \
                 100ms, timeout: 100ms, rise: 1, fall: 1 }}\n"
            );
            let apps = apps(3);
            let replicas = (0..3).map(|_| Balancer::start(&apps, SHARED, "", &pool)).collect();
            let cluster = Self { apps, replicas };
            if engine.is_some() {
                cluster.connected(true).await;
            }
            cluster
        }

        fn shared(&self, replica: usize) -> Arc<SharedTable> {
            Arc::clone(&self.replicas[replica].current.load().shared()[0])
        }

        fn tally(&self, replica: usize) -> SharedTally {
            self.shared(replica).counts().tally()
        }

        async fn connected(&self, connected: bool) {
            let all = async || (0..3).all(|n| self.tally(n).connected == connected).then_some(());
            eventually(&format!("connected: {connected}"), all).await;
        }

        fn report(&self, title: &str) {
            (0..3).for_each(|n| eprintln!("{title}: replica {n}: {}", self.tally(n)));
        }

        fn get(&self, replica: usize, path: &str, fields: &[&str]) -> Response {
            let response = get(self.replicas[replica].address, path, fields);
            assert_eq!(response.status, 200, "no request fails: {response:?}");
            response
        }
    }

    /// A client without cookies: all that it has of its session is the id.
    struct Client {
        number: usize,
        id: String,
        server: String,
        count: usize,
        lost: usize,
    }

    impl Client {
        fn start(number: usize, cluster: &Cluster, replica: usize) -> Self {
            let first = cluster.get(replica, "/", &[&format!("User-Agent: client {number}")]);
            let (id, server) = (first.word("session=").to_owned(), first.server().to_owned());
            Self { number, id, server, count: 1, lost: 0 }
        }

        /// The next request. Nothing but the id tells whose it is.
        fn turn(&mut self, cluster: &Cluster, replica: usize, page: &str) {
            let agent = format!("User-Agent: {} {}", self.number, self.count);
            let next = cluster.get(replica, &format!("{page};jsessionid={}", self.id), &[&agent]);
            self.count += 1;
            if next.word("count=") != self.count.to_string() {
                self.lost += 1;
                self.count = 1;
            }
            self.id = next.word("session=").to_owned();
            self.server = next.server().to_owned();
        }
    }

    /// A number below `below` that looks like chance and is the same each time.
    fn chance(seed: usize, below: usize) -> usize {
        let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mixed >> 33).unwrap() % below
    }

    /// Clients that go to another replica with each request, some of which log in on the way; how many were lost.
    fn roam(cluster: &Cluster, clients: usize, turns: usize) -> usize {
        let client = |number: usize| {
            let mut client = Client::start(number, cluster, chance(number, 3));
            for turn in 0..turns {
                let page = if turn % 7 == 3 { "/login" } else { "/" };
                client.turn(cluster, chance(number * 1000 + turn, 3), page);
            }
            client.lost
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..clients).map(|number| scope.spawn(move || client(number))).collect();
            running.into_iter().map(|client| client.join().unwrap()).sum()
        })
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Debian's redis-server: make e2e"]
    async fn clients_without_cookies_lose_nothing_on_any_replica() {
        let engine = Engine::start().await;
        let cluster = Cluster::start(Some(&engine)).await;
        let lost = roam(&cluster, 40, 20);
        cluster.report("roaming");
        assert_eq!(lost, 0);
        assert!((0..3).all(|n| cluster.tally(n).hits > 0 && cluster.tally(n).writes > 0));
        let alone = Cluster::start(None).await;
        let lost = roam(&alone, 10, 10);
        eprintln!("roaming without an engine: {lost} losses");
        assert!(lost > 0, "the measuring device works");
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Debian's redis-server: make e2e"]
    async fn requests_with_a_token_never_ask() {
        let engine = Engine::start().await;
        let cluster = Cluster::start(Some(&engine)).await;
        let first = cluster.get(0, "/", &[]);
        let cookies = format!("Cookie: {}", first.cookies());
        for turn in 0..9 {
            let next = cluster.get(turn % 3, "/", &[&cookies]);
            assert_eq!((next.server(), next.word("fresh=")), (first.server(), "false"));
        }
        assert!((0..3).all(|n| cluster.tally(n).reads == 0));
        // The application's cookie alone, without ours, is worth a question, and brings ours back.
        let alone = format!("Cookie: {}", first.cookie("JSESSIONID").unwrap());
        let next = cluster.get(1, "/", &[&alone]);
        assert_eq!((next.server(), next.word("fresh=")), (first.server(), "false"));
        assert!(next.cookie("steadfast-").is_some());
        assert_eq!((cluster.tally(1).reads, cluster.tally(1).hits), (1, 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Debian's redis-server: make e2e"]
    async fn a_killed_engine_fails_no_request_and_sharing_resumes_with_the_next() {
        let mut engine = Engine::start().await;
        let cluster = Cluster::start(Some(&engine)).await;
        let mut known: Vec<Client> = (0..20).map(|n| Client::start(n, &cluster, n % 3)).collect();
        for client in &mut known {
            (0..3).for_each(|replica| client.turn(&cluster, replica, "/"));
        }
        let tokens: Vec<Response> =
            (0..20).map(|n| cluster.get(n % 3, "/", &[&format!("User-Agent: token {n}")])).collect();

        // It dies under load: clients who roam, and of whom nobody knows anything but one replica and the engine.
        let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for loader in 0..4 {
                let (cluster, stop, done) = (&cluster, &stop, &done);
                scope.spawn(move || {
                    for turn in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                        let mut client = Client::start(loader * 1_000_000 + turn, cluster, chance(turn, 3));
                        client.turn(cluster, chance(turn + 1, 3), "/");
                        done.fetch_add(2, Ordering::Relaxed);
                    }
                });
            }
            let more = || {
                let goal = done.load(Ordering::Relaxed) + 200;
                while done.load(Ordering::Relaxed) < goal {
                    thread::yield_now();
                }
            };
            more();
            engine.kill();
            more();
            for client in &mut known {
                (0..3).for_each(|replica| client.turn(&cluster, replica, "/"));
            }
            for first in &tokens {
                let cookies = format!("Cookie: {}", first.cookies());
                for replica in 0..3 {
                    let next = cluster.get(replica, "/", &[&cookies]);
                    assert_eq!((next.server(), next.word("fresh=")), (first.server(), "false"));
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(known.iter().map(|client| client.lost).sum::<usize>(), 0, "sessions known here stay");
        cluster.connected(false).await;
        cluster.report("killed");
        let before = cluster.tally(2);
        cluster.get(2, "/;jsessionid=unknown", &[]);
        assert_eq!(cluster.tally(2).reads, before.reads, "nobody asks while it is away");
        assert_eq!(cluster.tally(2).skipped, before.skipped + 1);

        // Sessions that start meanwhile, on one replica each, and their first replica alone.
        let mut meanwhile: Vec<Client> = (100..120).map(|n| Client::start(n, &cluster, n % 3)).collect();
        engine.restart().await;
        cluster.connected(true).await;
        // The engine came back empty: each replica tells it what it knows.
        let told = async || (0..3).all(|n| cluster.tally(n).writes > 0).then_some(());
        eventually("told anew", told).await;
        let found = |client: &Client| {
            let other = (client.number + 1) % 3;
            let path = format!("/plain;jsessionid={}", client.id);
            cluster.get(other, &path, &["User-Agent: another"]).server() == client.server
        };
        for client in &meanwhile {
            eventually("sharing resumes", async || found(client).then_some(())).await;
        }
        for client in meanwhile.iter_mut().chain(&mut known) {
            for turn in 0..3 {
                client.turn(&cluster, (client.number + turn) % 3, "/");
            }
        }
        cluster.report("back");
        assert_eq!(meanwhile.iter().chain(&known).map(|client| client.lost).sum::<usize>(), 0);
        assert_eq!(roam(&cluster, 10, 10), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Debian's redis-server: make e2e"]
    async fn a_stalled_engine_is_given_up_and_taken_up_again() {
        let engine = Engine::start().await;
        let cluster = Cluster::with_timeout(Some(&engine), "50ms").await;
        engine.stall();
        for n in 0..5 {
            cluster.get(0, &format!("/plain;jsessionid=invented{n}"), &[]);
        }
        cluster.connected(false).await;
        let tally = cluster.tally(0);
        assert!(tally.timeouts > 0 && tally.timeouts <= 3, "{tally}");
        for n in 0..50 {
            cluster.get(0, &format!("/plain;jsessionid=other{n}"), &[]);
        }
        let after = cluster.tally(0);
        assert_eq!((after.reads, after.skipped), (tally.reads, tally.skipped + 50), "nobody waits");
        engine.go_on();
        cluster.connected(true).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Debian's redis-server: make e2e"]
    async fn a_session_that_moved_stays_moved_on_every_replica() {
        let engine = Engine::start().await;
        let cluster = Cluster::start(Some(&engine)).await;
        let mut client = Client::start(1, &cluster, 0);
        (0..3).for_each(|replica| client.turn(&cluster, replica, "/"));
        let home = cluster.apps.iter().find(|app| app.name == client.server).unwrap();
        home.stop();
        // A page that leaves the session's id alone, as where sessions are replicated.
        let plain = |replica| {
            let path = format!("/plain;jsessionid={}", client.id);
            cluster.get(replica, &path, &["User-Agent: another"]).server().to_owned()
        };
        let successor = plain(0);
        assert_ne!(successor, home.name);
        let takes_sessions = |replica: usize| {
            let snapshot = cluster.replicas[replica].current.load();
            let pool = &snapshot.pools[0].pool;
            let backend = pool.backend(pool.find(&home.name).unwrap()).unwrap();
            backend.takes_existing(steadfast::clock::Now::read(), true)
        };
        eventually("all have noticed", async || (!(0..3).any(takes_sessions)).then_some(())).await;
        home.restart();
        eventually("it is back on all", async || (0..3).all(takes_sessions).then_some(())).await;
        // Replicas 1 and 2 have not seen the move, and still know where the session was.
        assert!((0..6).all(|turn| plain(2 - turn % 3) == successor), "no fail-back");
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Debian's redis-server: make e2e"]
    async fn an_invented_id_does_not_ask_each_time_and_none_is_written() {
        let engine = Engine::start().await;
        let cluster = Cluster::start(Some(&engine)).await;
        // A page that starts no session accepts the id without a word; one that does not know it starts another.
        for _ in 0..20 {
            cluster.get(0, "/;jsessionid=invented", &["User-Agent: x"]);
        }
        let tally = cluster.tally(0);
        assert!(tally.reads < 20 && tally.misses == tally.reads, "{tally}");
        let written = async |most: u64| {
            let all = async || (cluster.tally(0).writes >= most).then_some(());
            eventually("all is written", all).await;
            assert_eq!(cluster.tally(0).writes, most, "what the application has started, nothing else");
        };
        written(20).await;
        for n in 0..20 {
            cluster.get(0, &format!("/plain;jsessionid=other{n}"), &[]);
        }
        let mut client = Client::start(1, &cluster, 0);
        client.turn(&cluster, 1, "/");
        assert_eq!(client.lost, 0);
        written(21).await;
    }
}
