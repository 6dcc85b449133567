//! `pools.NAME.health`: how backends are watched.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::collections::OneOrMany;
use crate::config::network::StatusRange;
use crate::config::read::{Cursor, Keys, Known, Read, Refused, keys, later};
use crate::config::text::{HeaderName, Host, RequestPath, Switch, Text};
use crate::config::units::{Time, TimeOrZero, Whole};
use crate::config::words::{ExistingSessions, Word};

keys! {
    /// How backends are watched.
    struct Health {
        /// Check by a GET that is to be answered with an expected status; null: none.
        http: Option<HttpCheck> = "null",
        /// Check that a TCP connection is accepted: `true` or `{}`. Either this or `http`.
        tcp: TcpCheck = "false",
        /// From the start of one check to the next.
        interval: Time = "2s",
        /// For one check, whole; not longer than `interval`.
        timeout: Time = "1s",
        /// Successes in a row that bring a backend up.
        rise: Whole<1, 1000> = "2",
        /// Failures in a row that take it down.
        fall: Whole<1, 1000> = "3",
        /// When only the check fails: `try_home`: existing sessions are still tried on their backend; `move`: they move.
        existing_sessions: Word<ExistingSessions> = "try_home",
        /// Ejection by what real requests meet.
        passive: Passive = "{}",
        /// How long a backend that came up takes to reach its full share of new sessions; `0s`: at once.
        slow_start: TimeOrZero = "0s",
    }
    refused [later("grpc"), later("exec"), later("tls")]
}

keys! {
    /// A GET that is to be answered with an expected status.
    struct HttpCheck {
        /// Path and query.
        path: RequestPath = "/",
        /// Good status codes, one or a list: codes such as `204`, ranges such as `200-399`.
        expect: OneOrMany<StatusRange> = "[200-399]",
        /// `Host` to send; null: the backend's address.
        host: Option<Host> = "null",
        /// How the backend itself says that it drains: it keeps its sessions and takes no new ones until it says so no longer, or
        /// `drain.deadline` passes; null: it cannot.
        drain_on: Option<DrainOn> = "null",
    }
    refused [later("method"), later("headers"), later("body")]
}

keys! {
    /// How a backend says that it drains; at least one of them.
    struct DrainOn {
        /// By these status codes, which also count as good.
        status: OneOrMany<StatusRange> = "[]",
        /// By a header field of this name.
        header: Option<HeaderName> = "null",
        /// The field's value; null: any.
        value: Option<Text> = "null",
    }
}

keys! {
    /// Ejection by what real requests meet.
    struct Passive {
        /// Failures in a row (refused, reset, timed out; not statuses) that eject a backend; 0: off.
        consecutive_failures: Whole<0, 10_000> = "5",
        /// How long an ejected backend takes nothing before it is tried again.
        eject: Time = "10s",
    }
}

/// Whether connections are checked: `true`, or an empty mapping, which later releases may give keys.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct TcpCheck(pub(in crate::config) bool);

impl Keys for TcpCheck {
    const KNOWN: &'static [Known] = &[];
    const REFUSED: &'static [Refused] = &[later("port"), later("send"), later("expect")];
}

impl Read for TcpCheck {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        if cursor.is_mapping() {
            return cursor.known_keys::<Self>().map(|_| Self(true));
        }
        Switch::read(cursor).map(|Switch(on)| Self(on))
    }
}

impl JsonSchema for TcpCheck {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TcpCheck".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "object", "maxProperties": 0 }] })
    }
}
