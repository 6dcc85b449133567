//! What a client says first, where something in it is looked at: bounded in bytes and time, and passed on untouched.

mod client_hello;
mod mqtt;
mod rdp;

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout_at};

pub(super) use client_hello::client_hello;

use super::side::Side;
use crate::affinity::ClientName;

/// Bytes that are looked at: a ClientHello of 16 KiB, and the heads of its records.
const MOST: usize = (16 << 10) + 1024;

/// What the first bytes of a connection are, as something that is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen<T> {
    /// At least so many bytes are needed to say.
    Needs(usize),
    /// It is this.
    Is(T),
    /// It is something else.
    Not,
}

/// The first bytes of a connection, as far as they were needed.
pub(super) struct FirstBytes {
    bytes: Vec<u8>,
    limit: Duration,
    /// From the first look on.
    deadline: Option<Instant>,
}

impl FirstBytes {
    /// None yet; all that are wanted have to come within `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { bytes: Vec::new(), limit, deadline: None }
    }

    /// What was read, to be passed on.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Reads until it can be said whether it is what is looked for. Who is silent, too slow or too long is not.
    pub(super) async fn look<T>(&mut self, client: &mut Side, parse: impl Fn(&[u8]) -> Seen<T>) -> Option<T> {
        loop {
            match parse(&self.bytes) {
                Seen::Is(found) => return Some(found),
                Seen::Not => return None,
                Seen::Needs(bytes) if bytes > MOST => return None,
                Seen::Needs(bytes) => self.read(client, bytes).await?,
            }
        }
    }

    /// The name that a client gives itself.
    pub(super) async fn name(&mut self, client: &mut Side, of: ClientName) -> Option<Vec<u8>> {
        match of {
            ClientName::TlsServerName => self.look(client, client_hello).await?.server_name,
            ClientName::RdpCookie => self.look(client, rdp::cookie).await,
            ClientName::MqttClientId => self.look(client, mqtt::client_id).await,
        }
    }

    async fn read(&mut self, client: &mut Side, needed: usize) -> Option<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.limit);
        self.bytes.reserve(needed.saturating_sub(self.bytes.len()));
        while self.bytes.len() < needed {
            let read = timeout_at(deadline, client.read_buf(&mut self.bytes)).await;
            if read.ok()?.ok()? == 0 {
                return None;
            }
        }
        Some(())
    }
}

/// What these first bytes say, for the fuzzer: a name that the client gives itself, and the protocols that it likes.
///
/// # Errors
/// At least so many bytes are needed to say.
#[doc(hidden)]
pub fn first_bytes_say(bytes: &[u8], of: ClientName) -> Result<Option<Vec<u8>>, usize> {
    fn said<T>(seen: Seen<T>, text: impl FnOnce(T) -> Vec<u8>) -> Result<Option<Vec<u8>>, usize> {
        match seen {
            Seen::Needs(bytes) => Err(bytes),
            Seen::Is(found) => Ok(Some(text(found))),
            Seen::Not => Ok(None),
        }
    }
    match of {
        ClientName::TlsServerName => said(client_hello(bytes), |hello| {
            let name = hello.server_name.into_iter();
            name.chain(hello.alpn).flatten().collect()
        }),
        ClientName::RdpCookie => said(rdp::cookie(bytes), |cookie| cookie),
        ClientName::MqttClientId => said(mqtt::client_id(bytes), |id| id),
    }
}

/// Reads fields one after the other; `None`: there is less.
#[derive(Clone, Copy)]
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn bytes(&mut self, count: usize) -> Option<&'b [u8]> {
        let (read, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(read)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.bytes(bytes)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    /// A field with its length in so many bytes before it.
    fn field(&mut self, length: usize) -> Option<Self> {
        let length = self.number(length)?;
        self.bytes(length).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::client_hello::tests::hello;
    use super::*;

    async fn pair() -> (TcpStream, Side) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, Side::Tcp(listener.accept().await.unwrap().0))
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_hello_in_single_bytes_is_read_and_kept() {
        let (mut near, mut far) = pair().await;
        near.set_nodelay(true).unwrap();
        let hello = hello(Some("mail.example.com"), &["imap"]);
        let sent = hello.clone();
        let sending = tokio::spawn(async move {
            for byte in sent {
                near.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            near
        });
        let mut first = FirstBytes::new(PATIENCE);
        let seen = first.look(&mut far, client_hello).await.unwrap();
        assert_eq!(seen.server_name.as_deref(), Some(&b"mail.example.com"[..]));
        assert_eq!(first.into_bytes(), hello);
        drop(sending.await.unwrap());
    }

    #[tokio::test]
    async fn who_is_endless_silent_or_gone_is_not_waited_for() {
        // Records without end, each of them well-formed, and a message that says it is longer than all that is read.
        let (mut near, mut far) = pair().await;
        let sending = tokio::spawn(async move {
            let record = [&[22, 3, 1, 0x40, 0, 1, 0, 0xFF, 0xFF][..], &[0; (16 << 10) - 4]].concat();
            while near.write_all(&record).await.is_ok() {}
        });
        let mut first = FirstBytes::new(PATIENCE);
        assert_eq!(first.look(&mut far, client_hello).await, None);
        assert!(first.into_bytes().len() <= 2 * MOST, "bounded");
        drop(far);
        sending.await.unwrap();
        let (near, mut far) = pair().await;
        let mut first = FirstBytes::new(Duration::from_millis(50));
        assert_eq!(first.look(&mut far, client_hello).await, None, "silent");
        drop(near);
        assert_eq!(FirstBytes::new(PATIENCE).look(&mut far, client_hello).await, None, "gone");
        let (mut near, mut far) = pair().await;
        near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut first = FirstBytes::new(PATIENCE);
        assert_eq!(first.look(&mut far, client_hello).await, None, "HTTP, known by its first byte");
        assert!(first.into_bytes().starts_with(b"GET"));
    }
}
