//! `pools.NAME.discovery`: backends that come and go.

use crate::config::network::Address;
use crate::config::read::{Spanned, keys};
use crate::config::text::{DnsName, FilePath};
use crate::config::units::{Time, Whole};
use crate::config::words::{DnsRecord, OnEmpty, Word};

keys! {
    /// Backends that come and go.
    struct Discovery {
        /// By a name in DNS; null: not. Ids are stable: the target of an SRV record, with the port behind it if the
        /// target has several; else address and port.
        dns: Option<Dns> = "null",
        /// By a file that is watched; null: not. `.yaml` or `.yml`: a list as under `backends`, but without `state`; any other
        /// name: one backend on each line, `id=NAME ADDRESS weight=N`, where id and weight may be left out and `#` begins
        /// a comment. Without an id, the address is the id.
        file: Option<BackendFile> = "null",
    }
}

keys! {
    /// Backends by a name in DNS.
    struct Dns {
        /// The name. The system's search list applies, unless it ends with a dot.
        name: DnsName,
        /// The backends' port, with A and AAAA records. SRV records say it themselves.
        port: Option<Whole<1, 65_535>> = "null",
        /// `address`: each address of A and AAAA records is a backend; `srv`: each target of SRV records is one, those of
        /// the lowest priority take new sessions; `auto`: `srv` if the name begins with `_`.
        record: Word<DnsRecord> = "auto",
        /// Longest time between two looks; a shorter time to live (TTL) is respected.
        refresh: Time = "5s",
        /// Shortest time between two looks: a shorter time to live counts as this. Not below `1s`.
        refresh_minimum: Time = "1s",
        /// How long a resolver may take to answer; then it is asked once more.
        timeout: Time = "2s",
        /// Addresses of resolvers, such as `10.0.0.2:53`; null: the system's, with its hosts file.
        resolvers: Option<Vec<Spanned<Address>>> = "null",
        /// What an answer without any record (also NXDOMAIN) means: `keep`: that the resolver fails, so the last
        /// good answer holds; `remove`: that there are no backends, once three looks in a row say so.
        on_empty: Word<OnEmpty> = "keep",
    }
}

keys! {
    /// Backends by a file that is watched.
    struct BackendFile {
        /// The file, at most 1 MiB and 4096 backends.
        path: FilePath,
        /// From one look to the next. A content counts when two looks in a row see it.
        refresh: Time = "2s",
        /// What a file without backends means: `keep`: that it is not written yet, so the last good content holds; `remove`:
        /// that there are none, once three looks in a row see it.
        on_empty: Word<OnEmpty> = "keep",
    }
}
