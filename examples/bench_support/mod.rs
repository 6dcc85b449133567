//! What the benchmarks stand on: a small fast backend, the two proxies as processes, and raw requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Kept connections, each with a client of its own.
pub(crate) const CONNECTIONS: usize = 32;
/// Requests of each client in one round.
pub(crate) const REQUESTS: usize = 50;

const BODY: &str =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

/// A backend that answers every request with 100 bytes, and with a session cookie where the request has none.
pub(crate) fn backend() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || answer(connection));
        }
    });
    Ok(address)
}

fn answer(mut connection: TcpStream) -> Option<()> {
    let known = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n{BODY}");
    let fresh = known.replacen(
        "\r\n\r\n",
        "\r\nSet-Cookie: JSESSIONID=0123456789ABCDEF0123456789ABCDEF; Path=/; HttpOnly\r\n\r\n",
        1,
    );
    connection.set_nodelay(true).ok()?;
    let mut buffer = [0; 8192];
    let mut filled = 0;
    loop {
        let read = connection.read(buffer.get_mut(filled..)?).ok().filter(|read| *read > 0)?;
        filled += read;
        let head = buffer.get(..filled)?;
        if head.ends_with(b"\r\n\r\n") {
            let has_session = head.windows(11).any(|window| window == b"JSESSIONID=");
            connection.write_all(if has_session { known.as_bytes() } else { fresh.as_bytes() }).ok()?;
            filled = 0;
        }
    }
}

/// A proxy as a process, on one processor where `taskset` is there; killed when dropped.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// The proxy with nothing in it.
    pub(crate) fn bare(backend: SocketAddr) -> Result<Self, Failure> {
        let address = free_address()?;
        let program = beside("bare_pingora")?;
        Self::start(
            "bare Pingora",
            address,
            program,
            vec![address.to_string(), backend.to_string()],
            tempfile::tempdir()?,
        )
    }

    /// Steadfast with an ordinary configuration.
    pub(crate) fn steadfast(backend: SocketAddr) -> Result<Self, Failure> {
        Self::steadfast_with("Steadfast", backend, "")
    }

    /// The same with further lines at the top.
    pub(crate) fn steadfast_with(
        name: &'static str,
        backend: SocketAddr,
        top: &str,
    ) -> Result<Self, Failure> {
        Self::steadfast_also_at(name, backend, top, &[])
    }

    /// The same with further listeners of the same routes: their addresses, and lines for each.
    pub(crate) fn steadfast_also_at(
        name: &'static str,
        backend: SocketAddr,
        top: &str,
        more: &[(SocketAddr, &str)],
    ) -> Result<Self, Failure> {
        let address = free_address()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("steadfast.yaml");
        let more: String = more
            .iter()
            .map(|(address, lines)| {
                format!(
                    "  - {{ name: web-{}, address: \"{address}\", routes: [ {{ pool: app }} ], {lines} }}\n",
                    address.port()
                )
            })
            .collect();
        std::fs::write(
            &file,
            format!(
                "version: 1\nserver: {{ threads: 1 }}\nstate_dir: state\n{top}listeners:\n  - {{ name: web, address: \"{address}\", routes: [ {{ pool: app }} ] }}\n\
                 {more}pools:\n  app:\n    backends: [ {{ id: app1, address: \"{backend}\" }} ]\n\
                 \x20   affinity: {{ application_cookie: JSESSIONID, path_parameter: jsessionid }}\n    health: {{ http: {{ path: / }} }}\n"
            ),
        )?;
        let program = beside("../steadfast")?;
        Self::start(
            name,
            address,
            program,
            vec!["run".into(), "-c".into(), file.display().to_string()],
            folder,
        )
    }

    /// Starts a program that is to listen on the address.
    pub(crate) fn start(
        name: &'static str,
        address: SocketAddr,
        program: PathBuf,
        arguments: Vec<String>,
        folder: tempfile::TempDir,
    ) -> Result<Self, Failure> {
        let pinned = Command::new("taskset").arg("-V").stdout(Stdio::null()).status().is_ok();
        let mut command = if pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let child = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        for _ in 0..500 {
            if TcpStream::connect(address).is_ok() {
                return Ok(Self { name, address, child, _folder: folder });
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{name} does not listen").into())
    }

    /// Processor time so far, in nanoseconds, of all threads.
    pub(crate) fn processor_ns(&self) -> Result<u64, Failure> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        threads.into_iter().try_fold(0, |sum, thread| {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            Ok(sum + text.split(' ').next().unwrap_or_default().parse::<u64>()?)
        })
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request as a browser sends it.
pub(crate) fn request(cookies: &str) -> String {
    let cookie = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    format!(
        "GET /servicedesk/WorkOrder.do?id=4711 HTTP/1.1\r\nHost: ims.example.com\r\nConnection: keep-alive\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate\r\nReferer: http://ims.example.com/servicedesk/\r\nCache-Control: max-age=0\r\n\
         Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n{cookie}\r\n"
    )
}

/// Sends a request and reads its whole response.
pub(crate) fn exchange(
    connection: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(), Failure> {
    connection.write_all(request)?;
    buffer.clear();
    let mut chunk = [0; 4096];
    while !buffer.ends_with(BODY.as_bytes()) {
        let read = connection.read(&mut chunk)?;
        if read == 0 {
            return Err("the proxy closed a connection".into());
        }
        buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
    Ok(())
}

/// The request of a client that has both cookies.
pub(crate) fn returning_client(proxy: &Proxy) -> Result<String, Failure> {
    let mut buffer = Vec::new();
    exchange(&mut TcpStream::connect(proxy.address)?, request("").as_bytes(), &mut buffer)?;
    let text = String::from_utf8_lossy(&buffer).into_owned();
    let lines = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let cookies: Vec<_> = lines.filter_map(|(_, value)| value.split(';').next()).collect();
    Ok(request(&cookies.join("; ")))
}

/// Connections that are kept.
pub(crate) fn connect(proxy: &Proxy) -> Result<Vec<TcpStream>, Failure> {
    connect_to(proxy.address)
}

/// The same, to any listener.
pub(crate) fn connect_to(address: SocketAddr) -> Result<Vec<TcpStream>, Failure> {
    let open = |_| {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        Ok(connection)
    };
    (0..CONNECTIONS).map(open).collect()
}

/// CPU for each request of one round, in microseconds.
pub(crate) fn measure(proxy: &Proxy, request: &str, connections: &mut [TcpStream]) -> Result<f64, Failure> {
    let before = proxy.processor_ns()?;
    thread::scope(|scope| {
        let clients: Vec<_> = connections
            .iter_mut()
            .map(|connection| scope.spawn(|| client(connection, request).map_err(|error| error.to_string())))
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or_else(|_| Err("a client panicked".to_owned())))
    })?;
    let spent = proxy.processor_ns()? - before;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    Ok(spent as f64 / 1_000.0 / (CONNECTIONS * REQUESTS) as f64)
}

fn client(connection: &mut TcpStream, request: &str) -> Result<(), Failure> {
    let mut buffer = Vec::with_capacity(4096);
    (0..REQUESTS).try_for_each(|_| exchange(connection, request.as_bytes(), &mut buffer))
}

/// Another program of this build.
pub(crate) fn beside(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing: its make target builds it", path.display()).into())
    }
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Median, minimum and maximum.
pub(crate) fn summary(figures: &mut [f64]) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    let at = |position: usize| figures.get(position).copied().unwrap_or(f64::NAN);
    (at(figures.len() / 2), at(0), at(figures.len().saturating_sub(1)))
}
