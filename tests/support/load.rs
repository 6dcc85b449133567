//! Clients that ask all the time while something happens to the balancer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use h2::Reason;
use rustls::ClientConfig;
use tokio::runtime::{Builder, Runtime};

use super::exchange::{Connection, Response, request};
use super::http2::Http2;
use super::tls::{Authority, connect};

/// Clients that ask all the time, each with a session; what went wrong is counted in words.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Habit {
    /// Both cookies, on a kept connection.
    Kept,
    /// Both cookies, each request on a connection of its own.
    New,
    /// Only the application's cookie, so that only the learned table knows.
    Learned,
    /// No cookies, and a new session all the time, whose next request comes at once.
    Fresh,
}

/// What the requests of a client travel on.
#[derive(Clone)]
enum Way {
    Cleartext,
    Tls(Arc<ClientConfig>),
    Http2(Arc<ClientConfig>),
}

/// The name that clients of TLS ask for.
pub(crate) const SERVER_NAME: &str = "app.test";

impl Load {
    /// Sixteen clients of four habits, as fast as they can.
    pub(crate) fn start(address: SocketAddr) -> Self {
        Self::with(address, 16, Duration::ZERO)
    }

    /// So many clients, each with a pause behind each request.
    pub(crate) fn with(address: SocketAddr, clients: usize, pause: Duration) -> Self {
        Self::begin(address, &[Way::Cleartext], clients, pause)
    }

    /// The same over TLS, with HTTP/1 and HTTP/2 in turn.
    pub(crate) fn over_tls(
        address: SocketAddr,
        authority: &Authority,
        clients: usize,
        pause: Duration,
    ) -> Self {
        let config = |alpn| Arc::new(authority.client(alpn, None));
        Self::begin(address, &[Way::Tls(config(&[])), Way::Http2(config(&["h2"]))], clients, pause)
    }

    fn begin(address: SocketAddr, ways: &[Way], clients: usize, pause: Duration) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let habits = [Habit::Kept, Habit::New, Habit::Learned, Habit::Fresh];
        let kinds = ways.iter().flat_map(|way| habits.map(|habit| (way, habit)));
        let kinds: Vec<_> = kinds.collect();
        let handles = kinds.iter().cycle().take(clients).enumerate().map(|(n, (way, habit))| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            let (line, habit) = (Line { address, way: (*way).clone(), open: None }, *habit);
            thread::spawn(move || client(n, habit, line, pause, &stop, &asked))
        });
        let handles = handles.collect();
        let load = Self { stop, asked, clients: handles };
        load.wait(clients);
        load
    }

    /// Waits until so many more requests were answered.
    pub(crate) fn wait(&self, more: usize) {
        let goal = self.asked.load(Ordering::Relaxed) + more;
        while self.asked.load(Ordering::Relaxed) < goal {
            assert!(!self.clients.iter().all(JoinHandle::is_finished), "all clients have given up");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Requests that were answered so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends it: nothing may have gone wrong.
    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let faults: Vec<_> = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert!(
            faults.is_empty(),
            "whole: {} faults, such as {:?}",
            faults.len(),
            &faults[..faults.len().min(5)]
        );
    }
}

fn client(
    n: usize,
    habit: Habit,
    mut line: Line,
    pause: Duration,
    stop: &AtomicBool,
    asked: &AtomicUsize,
) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut home, mut cookies) = (String::new(), None);
    let agent = format!("load {n}");
    while !stop.load(Ordering::Relaxed) && faults.len() < 20 {
        if habit == Habit::Fresh {
            (home, cookies) = (String::new(), None);
        }
        for _ in 0..2 {
            match line.ask(&agent, cookies.as_deref()) {
                Err(fault) => faults.push(format!("{habit:?}: {fault}")),
                Ok(answer) if answer.status != 200 => faults.push(format!("status {}", answer.status)),
                Ok(answer) => {
                    if home.is_empty() {
                        home = answer.server().to_owned();
                        cookies = Some(match habit {
                            Habit::Kept | Habit::New => answer.cookies(),
                            Habit::Learned | Habit::Fresh => answer.cookie("JSESSIONID").unwrap(),
                        });
                    } else if answer.server() != home || answer.word("fresh=") == "true" {
                        faults
                            .push(format!("{habit:?}: a session of {home} was lost at {}", answer.server()));
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                    if habit == Habit::New {
                        line.open = None;
                    }
                }
            }
        }
    }
    faults
}

/// A client's way to the balancer, and its connection while it has one.
struct Line {
    address: SocketAddr,
    way: Way,
    open: Option<Open>,
}

enum Open {
    One(Connection),
    Two(Runtime, Http2),
}

impl Line {
    /// One request, on the connection that is there if it still takes one.
    fn ask(&mut self, agent: &str, cookies: Option<&str>) -> Result<Response, String> {
        loop {
            let open = self.open.take().unwrap_or_else(|| self.connect());
            match open {
                Open::One(mut one) => {
                    let cookies = cookies.map(|cookies| format!("Cookie: {cookies}"));
                    let agent = format!("User-Agent: {agent}");
                    let fields: Vec<_> =
                        [Some(agent.as_str()), cookies.as_deref()].into_iter().flatten().collect();
                    let sent = one.try_send(request("GET", "/", &fields).as_bytes());
                    let answer = sent.and_then(|()| one.receive());
                    let answer = answer.ok_or("a connection was reset, or closed without an answer")?;
                    if !answer.all("connection").contains(&"close") {
                        self.open = Some(Open::One(one));
                    }
                    return Ok(answer);
                }
                Open::Two(runtime, two) => {
                    let fields = [("user-agent", agent), ("cookie", cookies.unwrap_or("none=1"))];
                    match runtime.block_on(two.get("/", &fields)) {
                        Ok(answer) => {
                            self.open = Some(Open::Two(runtime, two));
                            return Ok(answer);
                        }
                        // RFC 9113 section 6.8: what came too late was not begun, and goes to another connection.
                        Err(error) if error.is_go_away() && error.reason() == Some(Reason::NO_ERROR) => {}
                        Err(error) => return Err(format!("HTTP/2: {error}")),
                    }
                }
            }
        }
    }

    fn connect(&self) -> Open {
        match &self.way {
            Way::Cleartext => Open::One(Connection::open(self.address)),
            Way::Tls(config) => {
                Open::One(Connection::over(connect(self.address, SERVER_NAME, config).unwrap()))
            }
            Way::Http2(config) => {
                let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
                let two = runtime.block_on(Http2::tls(self.address, SERVER_NAME, (**config).clone()));
                Open::Two(runtime, two)
            }
        }
    }
}
