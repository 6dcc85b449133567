//! TCP applications of this process that say their name and then repeat what they hear, and clients at any address of
//! 127.0.0.0/8.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

use super::ports::Port;

/// A TCP application; it and its connections end when it is dropped.
pub(crate) struct Echo {
    pub(crate) name: String,
    port: Port,
    open: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Echo {
    /// Starts it on a port of its own.
    pub(crate) fn start(name: &str) -> Self {
        let mut echo =
            Self { name: name.to_owned(), port: Port::reserve(), open: Arc::default(), runtime: None };
        echo.restart();
        echo
    }

    /// Applications `PREFIX1` to `PREFIXN`.
    pub(crate) fn several(prefix: &str, count: usize) -> Vec<Self> {
        (1..=count).map(|n| Self::start(&format!("{prefix}{n}"))).collect()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Stops it: its connections break, its port refuses.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        self.open.store(0, Ordering::SeqCst);
    }

    /// Starts it again on its port.
    pub(crate) fn restart(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&self.address().into()).unwrap();
        socket.listen(4096).unwrap();
        let (greeting, open) = (format!("{}\n", self.name), Arc::clone(&self.open));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(socket.into()).unwrap();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                open.fetch_add(1, Ordering::SeqCst);
                let (greeting, open) = (greeting.clone(), Arc::clone(&open));
                tokio::spawn(async move {
                    let _ = talk(stream, greeting).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        self.runtime = Some(runtime);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn talk(mut stream: tokio::net::TcpStream, greeting: String) -> io::Result<()> {
    stream.write_all(greeting.as_bytes()).await?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..read]).await?;
    }
}

/// A client's connection, and who is at its other end.
pub(crate) struct Talk {
    pub(crate) home: String,
    reader: BufReader<TcpStream>,
}

impl Talk {
    /// Connects from an address, and reads who answers.
    pub(crate) fn from(client: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        Self::saying(b"", client, to)
    }

    /// Connects, says something first, and reads who answers.
    pub(crate) fn saying(first: &[u8], client: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((client, 0)).into())?;
        socket.connect_timeout(&to.into(), Duration::from_secs(30))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        (&stream).write_all(first)?;
        let mut reader = BufReader::new(stream);
        let mut home = String::new();
        if reader.read_line(&mut home)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { home: home.trim_end().to_owned(), reader })
    }

    /// Sends a line and reads it back.
    pub(crate) fn echo(&mut self, line: &str) -> io::Result<String> {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        if self.reader.read_line(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer.trim_end().to_owned())
    }

    /// Waits until the other side ends.
    pub(crate) fn wait_for_end(&mut self) {
        let mut rest = Vec::new();
        let _ = self.reader.read_to_end(&mut rest);
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }
}

/// The n-th client: an address of its own in 127.0.0.0/8.
pub(crate) fn client(n: u32) -> Ipv4Addr {
    let [_, b, c, d] = (0x7F01_0000 + n * 7).to_be_bytes();
    Ipv4Addr::new(127, b, c, d)
}

/// Where each of the first `count` clients is served, by a short connection each, many at a time.
pub(crate) fn homes(count: u32, to: SocketAddr) -> Vec<String> {
    const AT_ONCE: u32 = 16;
    let ask =
        |n| Talk::from(client(n), to).map_or_else(|error| format!("client {n}: {error}"), |talk| talk.home);
    let mut homes = vec![String::new(); usize::try_from(count).unwrap()];
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                scope.spawn(move || (first..count).step_by(16).map(|n| (n, ask(n))).collect::<Vec<_>>())
            })
            .collect();
        for (n, home) in asking.into_iter().flat_map(|asked| asked.join().unwrap()) {
            homes[usize::try_from(n).unwrap()] = home;
        }
    });
    homes
}
