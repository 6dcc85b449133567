//! `pools.NAME.health`: how backends are watched.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::collections::OneOrMany;
use crate::config::network::StatusRange;
use crate::config::patterns::Pattern;
use crate::config::payload::Payload;
use crate::config::read::{Cursor, Read, keys, later};
use crate::config::text::{HeaderName, Host, RequestPath, Switch, Text};
use crate::config::units::{Time, TimeOrZero, Whole};
use crate::config::words::{DnsCode, DnsType, ExistingSessions, Word};

keys! {
    /// How backends are watched.
    struct Health {
        /// Check by a GET that is to be answered with an expected status; null: none.
        http: Option<HttpCheck> = "null",
        /// Check that a TCP connection is accepted: `true`; or, with keys, what is answered there. One of `http`, `tcp`, `tls`, `udp` and
        /// `dns`.
        tcp: Switched<Dialogue> = "false",
        /// Check that a TLS handshake is completed, with any certificate: `true`; or, with keys, what is answered then.
        tls: Switched<TlsDialogue> = "false",
        /// Check what is answered to a datagram; null: none.
        udp: Option<Dialogue> = "null",
        /// Check that a query of DNS is answered, by UDP; null: none.
        dns: Option<DnsCheck> = "null",
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
    refused [later("grpc"), later("exec")]
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

keys! {
    /// What is said to a backend, and what has to come back.
    struct Dialogue {
        /// What is sent: text, or `hex:` and two digits for each byte; null: nothing.
        send: Option<Payload> = "null",
        /// What has to be in the answer, written the same way; null: anything.
        expect: Option<Payload> = "null",
        /// Instead: this regular expression matches all of the answer.
        regex: Option<Pattern> = "null",
    }
    refused [later("port")]
}

keys! {
    /// The same over TLS.
    struct TlsDialogue {
        /// The server that is asked for; null: the backend's address.
        server_name: Option<Host> = "null",
        /// What is sent: text, or `hex:` and two digits for each byte; null: nothing.
        send: Option<Payload> = "null",
        /// What has to be in the answer, written the same way; null: anything.
        expect: Option<Payload> = "null",
        /// Instead: this regular expression matches all of the answer.
        regex: Option<Pattern> = "null",
    }
    refused [later("port"), later("verify")]
}

keys! {
    /// A query of DNS that is to be answered.
    struct DnsCheck {
        /// The name that is asked for; `.` is the root.
        name: Text,
        /// The type of its records.
        record: Word<DnsType> = "A",
        /// Good response codes, one or a list.
        expect: OneOrMany<Word<DnsCode>> = "[noerror]",
    }
}

/// Off, on, or on with keys.
#[derive(Clone, Debug)]
pub(in crate::config) enum Switched<K> {
    Off,
    On,
    Keys(K),
}

impl<K: Read> Read for Switched<K> {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        if cursor.is_mapping() {
            return K::read(cursor).map(Self::Keys);
        }
        Switch::read(cursor).map(|Switch(on)| if on { Self::On } else { Self::Off })
    }
}

impl<K: JsonSchema> JsonSchema for Switched<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Switched_{}", K::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let keys = generator.subschema_for::<K>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, keys] })
    }
}
