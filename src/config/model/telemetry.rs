//! `telemetry`: what systems that trace requests over many servers are told.

use crate::config::read::keys;
use crate::config::text::{FilePath, Text};
use crate::config::units::{Share, Time, Whole};

keys! {
    /// What systems that trace requests over many servers are told.
    struct Telemetry {
        /// Spans by OTLP, the protocol of OpenTelemetry; null: none, and `traceparent` passes as clients send it.
        otlp: Option<Otlp> = "null",
    }
}

keys! {
    /// A collector of OpenTelemetry: spans are posted there as protobuf, beside the requests.
    struct Otlp {
        /// Where: `http://…` or `https://…`. Without a path, `/v1/traces` is meant.
        url: Text,
        /// File with a token that is sent as `Authorization: Bearer …`; null: none.
        token_file: Option<FilePath> = "null",
        /// How many of the traces that begin here are exported. Those that a trusted proxy has begun are exported if it says so.
        sample: Share = "100%",
        /// What we are called there (`service.name`).
        service_name: Text = "steadfast",
        /// Requests whose spans wait to be sent, at most; those of further ones are dropped and counted, rather than hold up
        /// requests.
        queue: Whole<1, 1_000_000> = "4096",
        /// For one try to send, whole; there are three.
        timeout: Time = "5s",
    }
}
