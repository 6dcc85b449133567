//! `listeners.routes`: which requests go where.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::action::{HeaderChanges, Mirror, Parts, Redirect, Respond, Rewrite};
use super::limits::RequestLimit;
use crate::config::collections::{Keyed, OneOrMany};
use crate::config::network::Network;
use crate::config::patterns::{HostPattern, MatchPath, MediaType, Method, Pattern};
use crate::config::read::{Cursor, Read, Spanned, keys};
use crate::config::text::{CookieName, HeaderName, Name, ParameterName, Switch, Text};

keys! {
    /// A rule that says what becomes of requests.
    struct Route {
        /// Its name in log and `steadfast explain`; null: its number in the listener.
        name: Option<Name> = "null",
        /// Which requests it takes: those for which all that is written here holds; null: every request.
        r#match: Option<Match> = "null",
        /// Name of the pool that serves them. A route has one of `pool`, `split`, `redirect` and `respond`.
        pool: Option<Name> = "null",
        /// Pools of which one serves them, by weight. A client keeps its pool, and a session that lives in one of them stays
        /// there, whatever the weights become.
        split: Option<Parts> = "null",
        /// Sends the client elsewhere.
        redirect: Option<Redirect> = "null",
        /// An answer that no backend gives.
        respond: Option<Respond> = "null",
        /// What the backend is asked instead; null: what the client asked.
        rewrite: Option<Rewrite> = "null",
        /// What is changed in the header fields that the backend gets.
        request_headers: Option<HeaderChanges> = "null",
        /// What is changed in the header fields that the client gets.
        response_headers: Option<HeaderChanges> = "null",
        /// Another pool that gets a share of the requests, too; null: none.
        mirror: Option<Mirror> = "null",
        /// Limits of the requests that it takes, beside those of its listener.
        limits: RouteLimits = "{}",
    }
}

keys! {
    /// Limits of the requests that a route takes.
    struct RouteLimits {
        /// Limits of requests in a time; all of them hold, and those of the listener, too. `by: session` counts where a pool serves.
        requests: Vec<Spanned<RequestLimit>> = "[]",
    }
}

keys! {
    /// Which requests a route takes. Everything that is written has to hold.
    struct Match {
        /// One of these hosts, whatever the port: `app.example.com`, or `*.example.com` for all below a domain, not the
        /// domain itself.
        host: Option<OneOrMany<HostPattern>> = "null",
        /// The path, without query. It is read as servers read it: decoded, without `;parameters`, dot segments and repeated
        /// slashes; the backend gets it as it was sent. A path that servers may read in two ways, which lead to different
        /// routes, is answered with 400.
        path: Option<PathMatch> = "null",
        /// One of these methods.
        method: Option<OneOrMany<Method>> = "null",
        /// Header fields, each by its name: a value, several, or `{ regex: … }` or `{ present: … }`.
        header: Option<Keyed<HeaderName, Test>> = "null",
        /// Cookies, each by its name.
        cookie: Option<Keyed<CookieName, Test>> = "null",
        /// Parameters of the query, each by its name.
        query: Option<Keyed<ParameterName, Test>> = "null",
        /// One of these media types, such as `text/csv` or `text/*`, is named in `Accept`, and the client likes nothing
        /// better. `*/*`, which browsers send with every request, names none.
        accept: Option<OneOrMany<MediaType>> = "null",
        /// The body is of one of these media types.
        content_type: Option<OneOrMany<MediaType>> = "null",
        /// The client's address, behind trusted proxies, is in one of these networks.
        client: Option<OneOrMany<Network>> = "null",
        /// The TLS handshake named one of these servers, written as `host` is. Never holds without TLS.
        server_name: Option<OneOrMany<HostPattern>> = "null",
    }
}

keys! {
    /// A path: one of all that is written here.
    struct PathMatch {
        /// One of these very paths.
        exact: Option<OneOrMany<MatchPath>> = "null",
        /// One of these paths or anything below it: `/a` takes `/a`, `/a/` and `/a/b`, not `/ab`.
        prefix: Option<OneOrMany<MatchPath>> = "null",
        /// One of these regular expressions matches the whole path. In the syntax of the crate `regex`, without Unicode classes;
        /// `.` is any byte.
        regex: Option<OneOrMany<Pattern>> = "null",
    }
}

keys! {
    /// What a value has to be.
    struct TestKeys {
        /// One of these.
        equals: Option<OneOrMany<Text>> = "null",
        /// This regular expression matches all of it.
        regex: Option<Pattern> = "null",
        /// Whether it is there at all.
        present: Option<Switch> = "null",
    }
}

/// A value, several, or more about it.
#[derive(Debug)]
pub(in crate::config) enum Test {
    Values(OneOrMany<Text>),
    Keys(TestKeys),
}

impl Read for Test {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        if cursor.is_mapping() {
            TestKeys::read(cursor).map(Self::Keys)
        } else {
            OneOrMany::read(cursor).map(Self::Values)
        }
    }
}

impl JsonSchema for Test {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Test".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (values, keys) =
            (OneOrMany::<Text>::json_schema(generator), generator.subschema_for::<TestKeys>());
        json_schema!({ "anyOf": [values, keys] })
    }
}
