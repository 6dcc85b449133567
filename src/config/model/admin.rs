//! `admin`: the admin API.

use crate::config::network::AdminListen;
use crate::config::read::keys;
use crate::config::text::{FilePath, Switch};

keys! {
    /// The admin API: state of pools and sessions, and changes at run time.
    struct Admin {
        /// Where it listens: IP address and port, or `unix:PATH`, a socket that only the own user may open.
        listen: AdminListen = "127.0.0.1:9900",
        /// File with the token that callers present: at least 32 characters, on one line. Needed as soon as `listen`
        /// is neither loopback nor a socket. With a token, nothing but `/healthz` answers without it. It travels as it
        /// is, so put a network that you trust, or a tunnel, below it.
        token_file: Option<FilePath> = "null",
        /// Whether the dashboard is there, at `/`. With a token, its page, which holds no numbers, answers without it, and asks
        /// for it.
        dashboard: Switch = "false",
    }
}
