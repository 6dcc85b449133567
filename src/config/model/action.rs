//! `listeners.routes`: what becomes of requests, and what is changed in them.

use crate::config::collections::{Keyed, OneOrMany};
use crate::config::patterns::FieldName;
use crate::config::read::{Spanned, keys};
use crate::config::template::Template;
use crate::config::text::{FilePath, HeaderName, Name, Text};
use crate::config::units::{Bytes, Share, Whole};

keys! {
    /// A pool of a split.
    struct Part {
        /// Name of the pool.
        pool: Name,
        /// Its share of new clients, relative to the others; 0: none, but the sessions that live there stay.
        weight: Whole<0, 1_000_000>,
    }
}

keys! {
    /// Sends the client elsewhere.
    struct Redirect {
        /// Where to: a path, or a URL. May have `{scheme}`, `{host}`, `{path}`, `{rest}` (the path behind the prefix that matched)
        /// and `{query}` (with its `?`).
        to: Template,
        /// 301 and 308 are permanent; 307 and 308 keep method and body.
        status: Whole<301, 308> = "302",
    }
}

keys! {
    /// An answer that no backend gives.
    struct Respond {
        /// Its status.
        status: Whole<200, 599> = "200",
        /// Its body; null: none, unless there is a `file`.
        body: Option<Text> = "null",
        /// A file with its body, read when the configuration is loaded; at most 1 MiB.
        file: Option<FilePath> = "null",
        /// Its media type; null: `text/html` for a file whose name says so, else plain text.
        content_type: Option<Text> = "null",
    }
}

keys! {
    /// What the backend is asked instead of what the client asked.
    struct Rewrite {
        /// The path, such as `/v2{rest}`; the query stays. Pieces as in `redirect.to`. null: as it was sent.
        path: Option<Template> = "null",
        /// The `Host`; null: as it was sent.
        host: Option<Template> = "null",
    }
}

keys! {
    /// What is changed in header fields: removed, then set, then added. Values may have `{scheme}`, `{host}`, `{path}`, `{rest}`,
    /// `{query}`, `{client}` (the client's address) and `{request_id}` (where the listener has `headers.request_id`).
    struct HeaderChanges {
        /// Fields of these names are removed.
        remove: Option<OneOrMany<HeaderName>> = "null",
        /// These take the place of all fields of their names.
        set: Option<Keyed<FieldName, Template>> = "null",
        /// These are added beside others of their names.
        add: Option<Keyed<FieldName, Template>> = "null",
    }
}

keys! {
    /// Sends a share of the requests to another pool, too. What that answers is thrown away, and nobody waits for it.
    struct Mirror {
        /// Name of the other pool.
        pool: Name,
        /// The share of the requests.
        share: Share = "100%",
        /// Requests with a longer body are not sent.
        body_bytes: Bytes = "64KiB",
        /// At the same time; further ones are not sent.
        at_once: Whole<1, 100_000> = "100",
    }
}

/// The pools of a split.
pub(in crate::config) type Parts = Vec<Spanned<Part>>;
