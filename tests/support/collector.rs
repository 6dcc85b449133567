//! A collector of OpenTelemetry's spans: reads what it is sent with that project's own types.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;

use super::eventually::soon;

/// A collector; stopped when dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    received: Mutex<Vec<ResourceSpans>>,
    /// Heads and bodies, as they came.
    raw: Mutex<Vec<u8>>,
    /// How it answers, if not as it should; empty: not at all.
    mood: Mutex<Option<String>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::<Shared>::default());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if serving.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (connection, serving) = (connection.unwrap(), Arc::clone(&serving));
                thread::spawn(move || serving.take(connection));
            }
        });
        Self { address, shared }
    }

    /// From now on it answers so: a status line and fields, or nothing at all.
    pub(crate) fn answers(&self, start: Option<&str>) {
        *self.shared.mood.lock().unwrap() = Some(start.unwrap_or_default().to_owned());
    }

    /// From now on it is well again.
    pub(crate) fn is_well(&self) {
        *self.shared.mood.lock().unwrap() = None;
    }

    /// All spans that it was sent while it was well.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let received = self.shared.received.lock().unwrap();
        let scopes = received.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The same, once there are as many.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Span> {
        soon(&format!("{count} spans are there"), || {
            let spans = self.spans();
            assert!(spans.len() <= count, "too many: {spans:#?}");
            (spans.len() == count).then_some(spans)
        })
    }

    /// The attributes of who sends.
    pub(crate) fn resource(&self) -> Vec<KeyValue> {
        self.shared.received.lock().unwrap()[0].resource.clone().unwrap().attributes
    }

    /// Everything that it was sent.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.shared.raw.lock().unwrap()).into_owned()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn take(&self, mut connection: TcpStream) {
        let mut read = Vec::new();
        let mut more = |read: &mut Vec<u8>| {
            let mut buffer = [0; 65536];
            let length = connection.read(&mut buffer).unwrap_or(0);
            read.extend_from_slice(&buffer[..length]);
            length > 0
        };
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if !more(&mut read) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length: usize =
            head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
        while read.len() < end + length {
            if !more(&mut read) {
                return;
            }
        }
        self.raw.lock().unwrap().extend_from_slice(&read);
        let answer = match self.mood.lock().unwrap().as_deref() {
            // Until the other end gives up.
            Some("") => None,
            Some(start) => Some(format!("HTTP/1.1 {start}content-length: 0\r\n\r\n")),
            None => {
                assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
                assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
                let mut body = read[end..].to_vec();
                if head.contains("content-encoding: gzip\r\n") {
                    body.clear();
                    flate2::read::GzDecoder::new(&read[end..]).read_to_end(&mut body).unwrap();
                }
                let message = ExportTraceServiceRequest::decode(&*body).expect("it is such a message");
                self.received.lock().unwrap().extend(message.resource_spans);
                Some(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
                        .to_owned(),
                )
            }
        };
        match answer {
            Some(answer) => _ = connection.write_all(answer.as_bytes()),
            None => _ = connection.read(&mut [0; 1]),
        }
    }
}

/// An attribute as text; empty: there is none.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found: Vec<_> = attributes.iter().filter(|attribute| attribute.key == key).collect();
    assert!(found.len() <= 1, "{key} is there twice: {attributes:?}");
    let value = found.first().and_then(|attribute| attribute.value.clone()?.value);
    match value {
        None => String::new(),
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(other) => panic!("{key} is {other:?}"),
    }
}
