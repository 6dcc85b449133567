//! A DNS server on loopback that says what a test wants, and fails as a test wants. Written from RFC 1035, so that it
//! shares no fault with the resolver that it is asked by.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Record types that it knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    A = 1,
    Srv = 33,
    Aaaa = 28,
}

/// What it says to a question.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Records with this time to live, in seconds.
    Records(u32, Vec<Data>),
    /// NOERROR without a record.
    Empty,
    NxDomain,
    ServFail,
    Refused,
    /// No packet at all.
    Silent,
    /// Some records, with the bit that says that there are more, and no TCP to ask for them.
    Truncated(Vec<Data>),
    /// Bytes that are no message.
    Garbage,
}

/// What a record says.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Address(IpAddr),
    Srv { priority: u16, weight: u16, port: u16, target: String },
}

/// The server; it is gone when dropped.
#[derive(Debug)]
pub(crate) struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    task: JoinHandle<()>,
}

#[derive(Default, Debug)]
struct Zone {
    replies: HashMap<(String, Kind), Reply>,
    asked: HashMap<String, usize>,
}

impl Dns {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, zone) = (socket.local_addr().unwrap(), Arc::new(Mutex::new(Zone::default())));
        let task = tokio::spawn(serve(socket, Arc::clone(&zone)));
        Self { address, zone, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on says this. What it was never told anything of does not exist.
    pub(crate) fn say(&self, name: &str, kind: Kind, reply: Reply) {
        self.zone.lock().unwrap().replies.insert((name.to_owned(), kind), reply);
    }

    /// From now on says these IPv4 addresses.
    pub(crate) fn say_v4(&self, name: &str, ttl: u32, addresses: &[[u8; 4]]) {
        let data = addresses.iter().map(|ip| Data::Address(IpAddr::from(*ip))).collect();
        self.say(name, Kind::A, Reply::Records(ttl, data));
    }

    /// How many questions there were about a name.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.zone.lock().unwrap().asked.get(name).copied().unwrap_or_default()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut packet = [0; 4096];
    loop {
        let Ok((length, asker)) = socket.recv_from(&mut packet).await else { continue };
        let answer = answer(&packet[..length], &zone);
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer, asker).await;
        }
    }
}

/// RFC 1035 section 4: header, question, answers.
fn answer(query: &[u8], zone: &Mutex<Zone>) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let label = &query[at + 1..at + 1 + usize::from(query[at])];
        name += &String::from_utf8_lossy(label).to_lowercase();
        name.push('.');
        at += 1 + label.len();
    }
    let name = name.trim_end_matches('.');
    let question = &query[12..at + 5];
    let kind = match u16::from_be_bytes([query[at + 1], query[at + 2]]) {
        1 => Kind::A,
        28 => Kind::Aaaa,
        33 => Kind::Srv,
        other => panic!("asked for records of type {other}"),
    };
    let mut zone = zone.lock().unwrap();
    *zone.asked.entry(name.to_owned()).or_default() += 1;
    let exists = zone.replies.keys().any(|(known, _)| known == name);
    let reply = zone.replies.get(&(name.to_owned(), kind)).cloned();
    let reply = reply.unwrap_or(if exists { Reply::Empty } else { Reply::NxDomain });
    let (code, truncated, ttl, data) = match reply {
        Reply::Records(ttl, data) => (0, false, ttl, data),
        Reply::Empty => (0, false, 0, Vec::new()),
        Reply::NxDomain => (3, false, 0, Vec::new()),
        Reply::ServFail => (2, false, 0, Vec::new()),
        Reply::Refused => (5, false, 0, Vec::new()),
        Reply::Truncated(data) => (0, true, 60, data),
        Reply::Silent => return None,
        Reply::Garbage => return Some(vec![query[0], query[1], 0x81, 0x80, 0xff]),
    };
    let mut message = vec![query[0], query[1], if truncated { 0x87 } else { 0x85 }, 0x80 | code];
    let count = u16::try_from(data.len()).unwrap();
    for number in [1, count, 0, 0] {
        message.extend(u16::to_be_bytes(number));
    }
    message.extend(question);
    for data in data {
        // The name: a pointer to the question's.
        message.extend([0xc0, 12]);
        message.extend((kind as u16).to_be_bytes());
        message.extend(1u16.to_be_bytes());
        message.extend(ttl.to_be_bytes());
        let bytes = bytes(data);
        message.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        message.extend(bytes);
    }
    Some(message)
}

fn bytes(data: Data) -> Vec<u8> {
    match data {
        Data::Address(IpAddr::V4(ip)) => ip.octets().to_vec(),
        Data::Address(IpAddr::V6(ip)) => ip.octets().to_vec(),
        Data::Srv { priority, weight, port, target } => {
            let mut bytes: Vec<u8> =
                [priority, weight, port].into_iter().flat_map(u16::to_be_bytes).collect();
            for label in target.split('.').filter(|label| !label.is_empty()) {
                bytes.push(u8::try_from(label.len()).unwrap());
                bytes.extend(label.as_bytes());
            }
            bytes.push(0);
            bytes
        }
    }
}
