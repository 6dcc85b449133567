//! `tls`, `http2` and `proxy_protocol`: what is spoken on a listener before and beside HTTP/1.

use crate::config::network::Network;
use crate::config::read::{Spanned, keys};
use crate::config::text::{FilePath, HeaderName, Switch};
use crate::config::units::{Bytes, Whole};
use crate::config::words::{ClientCertificates, TlsVersion, Word};

keys! {
    /// TLS on a listener. A reload reads the files anew; running connections go on as they began.
    struct ListenerTls {
        /// The certificates; each serves the names that it has, and the first one also clients that name another server
        /// or none. Two of one name serve clients that verify different kinds of keys.
        certificates: Vec<Spanned<Certificate>>,
        /// Whether HTTP/2 is offered.
        http2: Switch = "true",
        /// The lowest version that is spoken: `1.2` or `1.3`.
        minimum_version: Word<TlsVersion> = "1.2",
        /// PEM file with the authorities that sign certificates of clients; null: clients are not asked for one.
        client_ca: Option<FilePath> = "null",
        /// With `client_ca`: `required`: a client without a certificate is turned away; `optional`: it is served.
        client_certificates: Word<ClientCertificates> = "required",
        /// With `client_ca`: the header field that tells the backend the subject of the client's certificate, such as
        /// `CN=alice,O=Example`. What clients send under that name is dropped, on every listener. null: it is not told.
        client_subject_header: Option<HeaderName> = "x-client-cert-subject",
    }
}

keys! {
    /// A certificate and its key.
    struct Certificate {
        /// PEM file with the certificate and, behind it, its chain.
        cert: FilePath,
        /// PEM file with the private key, not encrypted; nobody else should be able to read it.
        key: FilePath,
    }
}

keys! {
    /// HTTP/2 on a listener.
    struct Http2 {
        /// Whether it is spoken in cleartext, too, by clients that begin with it (prior knowledge, RFC 9113 section 3.3);
        /// over TLS, `tls.http2` says so.
        cleartext: Switch = "false",
        /// Requests that are under way at once on one connection.
        max_streams: Whole<1, 10_000> = "100",
        /// Bytes of a request's body that wait for the application; a small window slows uploads over long ways.
        window: Bytes = "64KiB",
        /// Bytes of one response that wait for the client; `buffer.response` adds to it.
        send_buffer: Bytes = "64KiB",
    }
}

keys! {
    /// The PROXY protocol, versions 1 and 2.
    struct ProxyProtocol {
        /// Networks of the proxies in front that speak it. Their connections must begin with its header, within
        /// `timeouts.handshake`, and it names the client; anybody else's begin without.
        trusted: Vec<Spanned<Network>>,
    }
}
