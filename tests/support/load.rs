//! Clients that ask all the time while something happens to the balancer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::exchange::{Connection, Response, request};

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

impl Load {
    /// Sixteen clients of four habits, as fast as they can.
    pub(crate) fn start(address: SocketAddr) -> Self {
        Self::with(address, 16, Duration::ZERO)
    }

    /// So many clients, each with a pause behind each request.
    pub(crate) fn with(address: SocketAddr, clients: usize, pause: Duration) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let habits = [Habit::Kept, Habit::New, Habit::Learned, Habit::Fresh];
        let handles = habits.iter().cycle().take(clients).enumerate().map(|(n, habit)| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            let habit = *habit;
            thread::spawn(move || client(n, habit, address, pause, &stop, &asked))
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
    address: SocketAddr,
    pause: Duration,
    stop: &AtomicBool,
    asked: &AtomicUsize,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut connection = None;
    let (mut home, mut fields) = (String::new(), vec![format!("User-Agent: load {n}")]);
    while !stop.load(Ordering::Relaxed) && faults.len() < 20 {
        if habit == Habit::Fresh {
            home.clear();
            fields = vec![format!("User-Agent: load {n}")];
        }
        for _ in 0..2 {
            let lines: Vec<_> = fields.iter().map(String::as_str).collect();
            match ask(&mut connection, address, &lines) {
                Err(fault) => faults.push(format!("{habit:?}: {fault}")),
                Ok(answer) if answer.status != 200 => faults.push(format!("status {}", answer.status)),
                Ok(answer) => {
                    if home.is_empty() {
                        home = answer.server().to_owned();
                        let cookies = match habit {
                            Habit::Kept | Habit::New => answer.cookies(),
                            Habit::Learned | Habit::Fresh => answer.cookie("JSESSIONID").unwrap(),
                        };
                        fields.push(format!("Cookie: {cookies}"));
                    } else if answer.server() != home || answer.word("fresh=") == "true" {
                        faults
                            .push(format!("{habit:?}: a session of {home} was lost at {}", answer.server()));
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                    let closes = answer.all("connection").contains(&"close");
                    if closes || habit == Habit::New {
                        connection = None;
                    }
                }
            }
        }
    }
    faults
}

fn ask(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    fields: &[&str],
) -> Result<Response, String> {
    let open = connection.get_or_insert_with(|| Connection::open(address));
    open.send(request("GET", "/", fields).as_bytes());
    let answer = open.receive();
    if answer.is_none() {
        *connection = None;
    }
    answer.ok_or_else(|| "a connection was reset, or closed without an answer".to_owned())
}
