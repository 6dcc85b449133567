//! RFC 9113 (HTTP/2) and RFC 7541 (HPACK), section by section: what a client sends, and what it has to get for it. Each case has a connection of
//! its own, in cleartext, over TLS, and with buffers for slow clients.
//!
//! Where the RFC leaves a choice, what we do is expected: closing where a stream's error would do, for instance (RFC 9113 section 5.4.2).

mod fields;
mod flow;
mod frames;
mod requests;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::support::app::App;
use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::http2::{frame, plain_get};
use crate::support::tls::{Authority, connect};

/// Error codes (RFC 9113 section 7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// Types of frames (section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Flags of frames.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 0x20;

/// The payload of the PINGs that ask whether a connection goes on.
const STILL_THERE: &[u8; 8] = b"still on";

/// What a client gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// GOAWAY with this code, and then the end.
    Connection(u32),
    /// The stream is reset with this code.
    Stream(u32),
    /// A response with this status.
    Answer(u16),
    /// Nothing happens, and the connection goes on.
    GoesOn,
    /// The end, without a word.
    Closed,
    /// Neither.
    Nothing,
}

use Outcome::{Answer, Closed, Connection, GoesOn, Nothing, Stream};

/// What is sent, and what comes of it.
struct Case {
    section: &'static str,
    what: &'static str,
    /// By the RFC.
    expected: Outcome,
    /// Where the parser does otherwise: docs/http2.md says so.
    differs: Option<Outcome>,
    send: Box<dyn Fn(&mut Peer)>,
}

impl Case {
    /// The connection ends as it should, but with the code for whatever has none of its own.
    fn by_another_code(self) -> Self {
        self.differs_by(Connection(PROTOCOL_ERROR))
    }

    fn differs_by(self, outcome: Outcome) -> Self {
        Self { differs: Some(outcome), ..self }
    }
}

fn case(
    section: &'static str,
    what: &'static str,
    expected: Outcome,
    send: impl Fn(&mut Peer) + 'static,
) -> Case {
    Case { section, what, expected, differs: None, send: Box::new(send) }
}

trait Both: Read + Write {}

impl<S: Read + Write> Both for S {}

/// A frame that came.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A client that keeps no rule.
struct Peer(Box<dyn Both>);

impl Peer {
    /// A connection that has sent the preface and nothing else.
    fn bare(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Self {
        let mut stream: Box<dyn Both> = match tls {
            Some(config) => Box::new(connect(address, "app.test", config).unwrap()),
            None => {
                let tcp = TcpStream::connect(address).unwrap();
                tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                tcp.set_nodelay(true).unwrap();
                Box::new(tcp)
            }
        };
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        Self(stream)
    }

    /// One that has exchanged settings.
    fn open(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Self {
        let mut peer = Self::bare(address, tls);
        peer.send(SETTINGS, 0, 0, &[]);
        while !peer.next().is_some_and(|frame| frame.kind == SETTINGS && frame.flags & ACK > 0) {}
        peer.send(SETTINGS, ACK, 0, &[]);
        peer
    }

    /// A frame. The other side may have left.
    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let _ = self.0.write_all(&frame(kind, flags, stream, payload));
    }

    /// A whole request without a body.
    fn get(&mut self, stream: u32) {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &plain_get());
    }

    /// A request whose body is to come.
    fn begin(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS, stream, &plain_post());
    }

    /// Reads until the response to this request has ended.
    fn finish(&mut self, stream: u32) {
        while let Some(frame) = self.next() {
            if frame.stream == stream && frame.kind <= HEADERS && frame.flags & END_STREAM > 0 {
                return;
            }
        }
        panic!("stream {stream} does not end");
    }

    /// The next frame; `None` at the end, or if nothing comes.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// What comes first of all that matters. Whether it goes on is asked twice: errors of streams come behind the first PING's answer.
    fn outcome(&mut self, expected: Outcome) -> Outcome {
        if expected == GoesOn {
            self.send(PING, 0, 0, STILL_THERE);
        }
        let mut answered = 0;
        loop {
            let mut head = [0; 9];
            match self.0.read(&mut head[..1]) {
                Ok(0) => return Closed,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Nothing,
                Err(_) => return Closed,
            }
            if self.0.read_exact(&mut head[1..]).is_err() {
                return Closed;
            }
            let mut payload =
                vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
            if self.0.read_exact(&mut payload).is_err() {
                return Closed;
            }
            match (head[3], &payload[..]) {
                (GOAWAY, [_, _, _, _, code @ ..]) => {
                    let code = u32::from_be_bytes(code[..4].try_into().unwrap());
                    while let Some(frame) = self.next() {
                        assert_ne!(frame.kind, PING, "nothing is answered after the end");
                    }
                    return Connection(code);
                }
                (RST_STREAM, code) => return Stream(u32::from_be_bytes(code.try_into().unwrap())),
                (HEADERS, block) => return Answer(status(block)),
                (PING, payload) if payload == STILL_THERE => {
                    answered += 1;
                    if answered == 2 {
                        return GoesOn;
                    }
                    self.send(PING, 0, 0, STILL_THERE);
                }
                _ => {}
            }
        }
    }
}

/// The status that a header block begins with, if the static table has it (RFC 7541 appendix A).
fn status(block: &[u8]) -> u16 {
    // The size of the table may be changed before.
    match block.iter().find(|byte| **byte & 0xE0 != 0x20) {
        Some(0x88) => 200,
        Some(0x89) => 204,
        Some(0x8C) => 400,
        Some(0x8D) => 404,
        _ => 0,
    }
}

/// The header block of `POST /plain`.
fn plain_post() -> Vec<u8> {
    let mut block = plain_get();
    block[0] = 0x83;
    block
}

/// A field as a literal without indexing (RFC 7541 section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// Runs them all in cleartext, over TLS, and with buffers.
fn run(cases: &[Case]) {
    let (apps, authority): (Vec<App>, _) = (apps(1), Authority::new());
    let site = authority.issue("site", &["app.test"], "site");
    let clear = Balancer::start(&apps, SHARED, "    http2: { cleartext: true }\n", "");
    let tls = Balancer::start(&apps, SHARED, &format!("    tls: {{ certificates: [ {{ {site} }} ] }}\n"), "");
    let buffers = "    http2: { cleartext: true }\n    buffer: { request: {}, response: 1MiB }\n";
    let buffered = Balancer::start(&apps, SHARED, buffers, "");
    let client = Arc::new(authority.client(&["h2"], None));
    let mut differ = Vec::new();
    for case in cases {
        let ways = [
            ("cleartext", clear.address, None),
            ("TLS", tls.address, Some(&client)),
            ("buffers", buffered.address, None),
        ];
        for (over, address, tls) in ways {
            let mut peer = Peer::open(address, tls);
            (case.send)(&mut peer);
            let outcome = peer.outcome(case.expected);
            if outcome != case.differs.unwrap_or(case.expected) {
                let Case { section, what, expected, differs, .. } = case;
                differ
                    .push(format!("{section} {what}, {over}: {outcome:?}, not {expected:?} or {differs:?}"));
            }
        }
    }
    assert!(differ.is_empty(), "of {} cases: {differ:#?}", 3 * cases.len());
}
