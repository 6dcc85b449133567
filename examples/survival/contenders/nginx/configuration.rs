//! NGINX's configuration, as its documentation recommends for sessions that live on one server.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::contender::{Backend, Plan};

/// What is hashed.
#[derive(Clone, Copy)]
pub(super) enum Key {
    /// The application's session id, else the client's address.
    SessionId,
    /// A random cookie that NGINX sets itself: the application's id is known only after its server was chosen,
    /// so a hash of it finds the right server by luck alone.
    OwnCookie,
}

/// What one replica needs to know.
pub(super) struct Configuration<'a> {
    pub(super) key: Key,
    pub(super) folder: &'a Path,
    pub(super) address: SocketAddr,
    pub(super) plan: &'a Plan,
}

impl Configuration<'_> {
    /// The whole file.
    pub(super) fn text(&self) -> String {
        [self.process(), "http {\n".to_owned(), self.files(), self.key(), self.upstream(), self.server()]
            .concat()
            + "}\n"
    }

    /// Workers keep the user of the master: the folder of a run may be closed to all others.
    fn process(&self) -> String {
        let folder = self.folder.display();
        format!(
            "daemon on;\n\
            user root root;\n\
            worker_processes 2;\n\
            pid {folder}/pid;\n\
            error_log stderr notice;\n\
            events {{ worker_connections 4096; }}\n"
        )
    }

    fn files(&self) -> String {
        let mut text = "    access_log off;\n".to_owned();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let _ = writeln!(text, "    {kind}_temp_path {}/{kind};", self.folder.display());
        }
        text
    }

    /// `$session_key`; and what to set as `$own_cookie`.
    fn key(&self) -> String {
        match self.key {
            Key::SessionId => "    map $request_uri $session_in_path {\n\
                \x20       default $remote_addr;\n\
                \x20       '~;jsessionid=(?<id>[^;/?&#]+)' $id;\n\
                \x20   }\n\
                \x20   map $cookie_JSESSIONID $session_key {\n\
                \x20       default $cookie_JSESSIONID;\n\
                \x20       '' $session_in_path;\n\
                \x20   }\n"
                .to_owned(),
            Key::OwnCookie => "    map $cookie_SRV $session_key {\n\
                \x20       default $cookie_SRV;\n\
                \x20       '' $request_id;\n\
                \x20   }\n\
                \x20   map $cookie_SRV $own_cookie {\n\
                \x20       default '';\n\
                \x20       '' 'SRV=$request_id; Path=/; HttpOnly';\n\
                \x20   }\n"
                .to_owned(),
        }
    }

    /// `zone`: without it, `max_conns` and failures are counted by each worker apart.
    fn upstream(&self) -> String {
        let servers: String = self.plan.backends.iter().map(|backend| self.backend(backend)).collect();
        format!(
            "    upstream app {{\n\
            \x20       zone app 256k;\n\
            \x20       hash $session_key consistent;\n\
            {servers}\
            \x20       keepalive 32;\n\
            \x20   }}\n"
        )
    }

    fn backend(&self, backend: &Backend) -> String {
        let mut line = format!(
            "        server {} weight={} max_fails=3 fail_timeout=10s",
            backend.address, backend.weight
        );
        if let Some(limit) = self.plan.backend_limit {
            let _ = write!(line, " max_conns={limit}");
        }
        // `drain` is for subscribers only; `down` takes the server's sessions away, but no others.
        if backend.draining {
            line.push_str(" down");
        }
        line + ";\n"
    }

    /// The second map is the documented one for WebSocket, but empty where there is no upgrade, as the
    /// documentation of `keepalive` asks for.
    fn server(&self) -> String {
        let protocol = if self.plan.http2 { " http2" } else { "" };
        // `add_header` leaves an empty one out: the cookie is set once.
        let own_cookie = match self.key {
            Key::SessionId => "",
            Key::OwnCookie => "            add_header Set-Cookie $own_cookie always;\n",
        };
        format!(
            "    map $http_upgrade $connection_upgrade {{\n\
            \x20       default upgrade;\n\
            \x20       '' '';\n\
            \x20   }}\n\
            \x20   server {{\n\
            \x20       listen {}{protocol};\n\
            \x20       location / {{\n\
            \x20           proxy_pass http://app;\n\
            \x20           proxy_http_version 1.1;\n\
            \x20           proxy_set_header Host $http_host;\n\
            \x20           proxy_set_header Upgrade $http_upgrade;\n\
            \x20           proxy_set_header Connection $connection_upgrade;\n\
            \x20           proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
            \x20           proxy_connect_timeout 2s;\n\
            \x20           proxy_read_timeout 60s;\n\
            \x20           proxy_send_timeout 60s;\n\
            \x20           proxy_next_upstream error timeout;\n\
            {own_cookie}\
            \x20       }}\n\
            \x20   }}\n",
            self.address
        )
    }
}
