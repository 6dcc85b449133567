//! HAProxy's configuration, as its manual recommends for sessions that live on one server.
//!
//! The quotations are from configuration.txt and management.txt of HAProxy 2.6.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::contender::{Backend, Plan};

/// By what a session finds its server again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    /// A cookie of HAProxy's own names the server.
    Cookie,
    /// A table from the application's session id to its server.
    Table,
    /// The cookie, and the table for those who do not send it.
    Both,
}

/// What one replica needs to know.
pub(super) struct Configuration<'a> {
    pub(super) affinity: Affinity,
    pub(super) folder: &'a Path,
    pub(super) address: SocketAddr,
    /// Its place among the peers.
    pub(super) replica: usize,
    /// Where the tables of all replicas talk to each other, this one included.
    pub(super) peers: &'a [SocketAddr],
    /// Every server there ever was, in order of appearance.
    pub(super) known: &'a [String],
    pub(super) plan: &'a Plan,
}

impl Configuration<'_> {
    /// The whole file.
    pub(super) fn text(&self) -> String {
        [self.global(), self.frontend(), self.peers(), self.backend(), self.servers()].concat()
    }

    fn global(&self) -> String {
        let folder = self.folder.display();
        // "stats socket ... expose-fd listeners": the new process takes the listening sockets over from the
        // old one, so that no connection is refused during a reload.
        // The file of the servers' states keeps over a reload what health checks have found.
        format!(
            "global\n\
            \x20   log stderr format raw local0 notice\n\
            \x20   stats socket {folder}/stats.sock mode 600 level admin expose-fd listeners\n\
            \x20   server-state-file {folder}/servers.state\n\
            \x20   localpeer replica{}\n\n",
            self.replica
        )
    }

    fn frontend(&self) -> String {
        let protocol = if self.plan.http2 { " proto h2" } else { "" };
        // `retry-on empty-response` is for requests whose replay "has no consequence": METH_GET is GET and HEAD.
        format!(
            "defaults\n\
            \x20   mode http\n\
            \x20   log global\n\
            \x20   timeout connect 2s\n\
            \x20   timeout client 60s\n\
            \x20   timeout server 60s\n\
            \x20   timeout tunnel 1h\n\
            \x20   timeout queue 10s\n\
            \x20   retries 3\n\
            \x20   option redispatch\n\
            \x20   retry-on conn-failure empty-response\n\
            \x20   load-server-state-from-file global\n\n\
            frontend web\n\
            \x20   bind {}{protocol}\n\
            \x20   option forwardfor\n\
            \x20   http-request disable-l7-retry unless METH_GET\n\
            \x20   default_backend app\n\n",
            self.address
        )
    }

    /// The peers are there for a single replica too: "During a soft restart, local peer is used by the old
    /// instance to connect the new one and initiate a complete replication (teaching process)".
    fn peers(&self) -> String {
        if self.affinity == Affinity::Cookie {
            return String::new();
        }
        let mut text = "peers replicas\n".to_owned();
        for (replica, address) in self.peers.iter().enumerate() {
            let _ = writeln!(text, "    peer replica{replica} {address}");
        }
        text + "\n"
    }

    fn backend(&self) -> String {
        let cookie = "    cookie SRV insert indirect nocache httponly\n";
        // In the cookie or in the path: "match http://example.com/foo;JSESSIONID=some_id".
        let table = "    stick-table type string len 64 size 1m expire 30m peers replicas\n\
            \x20   stick on req.cook(JSESSIONID)\n\
            \x20   stick on urlp(jsessionid,;)\n\
            \x20   stick store-response res.cook(JSESSIONID)\n";
        let affinity = match self.affinity {
            Affinity::Cookie => cookie.to_owned(),
            Affinity::Table => table.to_owned(),
            // "The stick rules are checked after the persistence cookies, so they will not affect stickiness
            // if a cookie has already been used to select a server": no condition is needed.
            Affinity::Both => [cookie, table].concat(),
        };
        format!(
            "backend app\n\
            \x20   balance roundrobin\n\
            \x20   option httpchk GET /health\n\
            \x20   default-server check inter 2s rise 2 fall 3\n\
            {affinity}"
        )
    }

    fn servers(&self) -> String {
        self.plan.backends.iter().map(|backend| self.server(backend)).collect()
    }

    fn server(&self, backend: &Backend) -> String {
        let Backend { id, address, .. } = backend;
        // "it is highly recommended to force server IDs": the table would otherwise know a server by its line.
        let number = self.known.iter().position(|known| known == id).map_or(0, |position| position + 1);
        let mut line = format!("    server {id} {address} id {number} weight {}", weight(backend));
        if self.affinity != Affinity::Table {
            let _ = write!(line, " cookie {id}");
        }
        if let Some(limit) = self.plan.backend_limit {
            let _ = write!(line, " maxconn {limit}");
        }
        line + "\n"
    }
}

/// "A value of 0 means the server will not participate in load-balancing but will still accept persistent
/// connections": this is how a drained server survives a restart, which forgets the runtime API.
pub(super) fn weight(backend: &Backend) -> u32 {
    if backend.draining { 0 } else { backend.weight }
}
