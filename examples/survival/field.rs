//! Where an incident plays: servers, a load balancer before them, clients, and the judge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::contender::{Backend, Contender, Failure, Plan};
use crate::judge::Judge;
use crate::server::Server;

/// Clients that act at the same time.
const ACTORS: usize = 8;

/// Where an incident plays.
pub(crate) struct Field {
    pub(crate) contender: Box<dyn Contender>,
    pub(crate) servers: Vec<Server>,
    pub(crate) plan: Plan,
    pub(crate) judge: Arc<Judge>,
    addresses: Vec<SocketAddr>,
    clients: AtomicUsize,
    _folder: TempDir,
}

impl Field {
    /// Starts servers and load balancers.
    pub(crate) fn new(
        contender: Box<dyn Contender>,
        servers: usize,
        replicas: usize,
        backend_limit: Option<u32>,
        http2: bool,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let plan = Plan {
            folder: folder.path().to_owned(),
            replicas,
            backends: Vec::new(),
            backend_limit,
            http2,
            key_generation: 1,
        };
        let mut field = Self {
            contender,
            servers: Vec::new(),
            plan,
            judge: Arc::default(),
            addresses: Vec::new(),
            clients: AtomicUsize::new(0),
            _folder: folder,
        };
        (0..servers).try_for_each(|_| field.add_server())?;
        field.contender.start(&field.plan)?;
        field.addresses = field.contender.addresses();
        // A check's first round.
        thread::sleep(Duration::from_millis(300));
        Ok(field)
    }

    /// Starts one more server and enters it into the plan, which is not applied yet.
    pub(crate) fn add_server(&mut self) -> Result<(), Failure> {
        let server = Server::start(&format!("app{}", self.servers.len() + 1))?;
        self.judge.up(&server.id, server.boot);
        self.plan.backends.push(Backend {
            id: server.id.clone(),
            address: server.address,
            weight: 1,
            draining: false,
        });
        self.servers.push(server);
        Ok(())
    }

    /// Brings every replica to the plan.
    pub(crate) fn apply(&mut self) -> Result<(), Failure> {
        (0..self.plan.replicas).try_for_each(|replica| self.contender.apply(&self.plan, replica))
    }

    /// Where a replica listens.
    pub(crate) fn balancer(&self, replica: usize) -> Result<SocketAddr, Failure> {
        self.addresses.get(replica).copied().ok_or_else(|| "no such replica".into())
    }

    /// A new client of the first replica.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let number = self.clients.fetch_add(1, Ordering::SeqCst);
        Ok(Client::new(number, self.balancer(0)?, &self.judge))
    }

    /// New clients that have their sessions.
    pub(crate) fn clients_with_sessions(&self, count: usize) -> Result<Vec<Client>, Failure> {
        let mut clients = (0..count).map(|_| self.client()).collect::<Result<Vec<_>, _>>()?;
        each(&mut clients, |client| drop(client.get("/page")));
        Ok(clients)
    }

    /// A server by its place.
    pub(crate) fn server(&mut self, at: usize) -> Result<&mut Server, Failure> {
        self.servers.get_mut(at).ok_or_else(|| "no such server".into())
    }

    /// Kills a server with its sessions.
    pub(crate) fn kill_server(&mut self, at: usize) -> Result<(), Failure> {
        let judge = Arc::clone(&self.judge);
        let server = self.server(at)?;
        judge.down(&server.id);
        server.kill()
    }

    /// Starts a killed server again.
    pub(crate) fn start_server(&mut self, at: usize) -> Result<(), Failure> {
        let judge = Arc::clone(&self.judge);
        let server = self.server(at)?;
        server.start_again()?;
        judge.up(&server.id, server.boot);
        Ok(())
    }

    /// Lets clients come back again and again while something happens.
    pub(crate) fn during<T>(
        &mut self,
        clients: &mut [Client],
        what: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for group in clients.chunks_mut(clients.len().div_ceil(ACTORS).max(1)) {
                let over = &over;
                scope.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        for client in &mut *group {
                            client.get("/page");
                            thread::sleep(Duration::from_millis(2));
                        }
                    }
                });
            }
            thread::sleep(Duration::from_millis(200));
            let result = what(self);
            thread::sleep(Duration::from_millis(300));
            over.store(true, Ordering::SeqCst);
            result
        })
    }
}

/// Each client does something, several at a time.
pub(crate) fn each(clients: &mut [Client], act: impl Fn(&mut Client) + Sync) {
    thread::scope(|scope| {
        for group in clients.chunks_mut(clients.len().div_ceil(ACTORS).max(1)) {
            let act = &act;
            scope.spawn(move || group.iter_mut().for_each(act));
        }
    });
}

/// All at the same moment, each on a connection of its own, as a browser opens several.
pub(crate) fn at_once<T: Send>(
    copies: Vec<Client>,
    act: impl Fn(&mut Client) -> T + Sync,
) -> Vec<(Client, T)> {
    thread::scope(|scope| {
        let act = &act;
        let running: Vec<_> = copies
            .into_iter()
            .map(|mut copy| {
                scope.spawn(move || {
                    let result = act(&mut copy);
                    (copy, result)
                })
            })
            .collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

/// Waits.
pub(crate) fn pause(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}
