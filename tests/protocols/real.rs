//! PostgreSQL, Redis, MQTT and TLS through layer 4.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use steadfast::config::checked::BackendState;
use steadfast::lifecycle::BackendChange;
use tempfile::TempDir;

use crate::support::balancer::SHARED;
use crate::support::layer4::Layer4;
use crate::support::ports::Port;

/// A server as a child process; killed when dropped.
pub(crate) struct Server {
    name: String,
    port: Port,
    child: Option<Child>,
    command: Box<dyn Fn(SocketAddr) -> Command>,
}

impl Server {
    pub(crate) fn start(name: &str, command: impl Fn(SocketAddr) -> Command + 'static) -> Self {
        let mut server =
            Self { name: name.to_owned(), port: Port::reserve(), child: None, command: Box::new(command) };
        server.restart();
        server
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn restart(&mut self) {
        let mut command = (self.command)(self.address());
        self.child =
            Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until("it accepts", || TcpStream::connect(self.address()).is_ok());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        until("it refuses", || TcpStream::connect(self.address()).is_err());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain: {what}");
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn balancer(servers: &[Server], listener: &str, pool: &str) -> Layer4 {
    let backend = |server: &Server| format!("{{ id: {}, address: \"{}\" }}", server.name, server.address());
    let backends: Vec<_> = servers.iter().map(backend).collect();
    Layer4::start(&format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: tcp\n    protocol: tcp\n    address: 127.0.0.1:0\n    pool: \
         app\n{listener}pools:\n  app:\n    backends: [ {} ]\n    health: {{ tcp: true, interval: 200ms, timeout: 200ms }}\n{pool}",
        backends.join(", ")
    ))
}

fn change(balancer: &Layer4, backend: &str, state: BackendState) {
    let change = BackendChange { state: Some(state), ..BackendChange::default() };
    balancer.control.change("app", backend, &change).unwrap();
}

/// The newest PostgreSQL that is installed.
fn postgresql() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("the package postgresql").flatten();
    versions.map(|version| version.path().join("bin")).max().unwrap()
}

/// PostgreSQL does not run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn database(name: &str, folder: &Path) -> Server {
    let bin = postgresql();
    let data = folder.join(name);
    std::fs::create_dir(&data).unwrap();
    if is_root() {
        assert!(Command::new("chown").arg("postgres").arg(&data).status().unwrap().success());
    }
    let made = as_postgres(&bin.join("initdb"))
        .args(["-A", "trust", "-U", "test", "-D"])
        .arg(&data)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    Server::start(name, move |address| {
        let mut command = as_postgres(&bin.join("postgres"));
        let port = address.port().to_string();
        command
            .args(["-c", "fsync=off", "-c", "unix_socket_directories=", "-h", "127.0.0.1", "-p", &port, "-D"])
            .arg(&data);
        command.current_dir("/");
        command
    })
}

fn sql(to: SocketAddr, statement: &str) -> String {
    let output = Command::new("psql")
        .args([
            "-h",
            &to.ip().to_string(),
            "-p",
            &to.port().to_string(),
            "-U",
            "test",
            "-Atqc",
            statement,
            "postgres",
        ])
        .output()
        .unwrap();
    said(&output).trim().to_owned()
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgresql_serves_through_a_backend_that_dies_drains_and_returns() {
    // Readable for the user that PostgreSQL runs as.
    let folder = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let mut servers: Vec<_> = (1..=3).map(|n| database(&format!("pg{n}"), folder.path())).collect();
    let balancer = balancer(&servers, "", "");
    until("it serves", || sql(balancer.address, "select 1") == "1");
    let home = || sql(balancer.address, "select inet_server_port()");
    let first = home();
    let at =
        servers.iter().position(|server| server.address().port().to_string() == first).expect("one of them");
    for server in &servers {
        assert_eq!(sql(server.address(), "create table t(n int); insert into t values (1)"), "");
    }
    let bench = |arguments: &[&str]| {
        let to = balancer.address;
        let mut command = Command::new("pgbench");
        command
            .args(["-h", &to.ip().to_string(), "-p", &to.port().to_string(), "-U", "test"])
            .args(arguments)
            .arg("postgres");
        command
    };
    let made = bench(&["-i", "-s", "1"]).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let seconds = std::env::var("PGBENCH_SECONDS").unwrap_or_else(|_| "60".to_owned());
    let ran = bench(&["-c", "8", "-j", "2", "-T", &seconds]).output().unwrap();
    assert!(
        ran.status.success() && said(&ran).contains("number of failed transactions: 0"),
        "{}",
        said(&ran)
    );
    println!("{}", said(&ran));
    // New connections all the time, while it drains and another one is killed: what could live, lives.
    let other = (at + 1) % 3;
    let running = bench(&["-C", "-S", "-c", "4", "-T", "6"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_secs(2));
    change(&balancer, &servers[at].name, BackendState::Draining);
    servers[other].kill();
    let ran = running.wait_with_output().unwrap();
    assert!(ran.status.success(), "drained: {}", said(&ran));
    assert_eq!(home(), first, "drained: the known client stays");
    servers[at].kill();
    let moved = home();
    assert!(moved != first && !moved.is_empty(), "moved once: {moved}");
    servers[at].restart();
    change(&balancer, &servers[at].name, BackendState::Up);
    servers[other].restart();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(home(), moved, "moved once");
}

fn redis(to: SocketAddr, from: Option<&str>, words: &[&str]) -> String {
    use std::io::{Read as _, Write as _};

    let from: std::net::Ipv4Addr = from.unwrap_or("127.0.0.1").parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(format!("{}\r\nQUIT\r\n", words.join(" ")).as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
#[ignore = "needs redis-server"]
fn redis_clients_find_their_own_data() {
    let folders: Vec<TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut servers: Vec<_> = folders
        .iter()
        .enumerate()
        .map(|(n, folder)| {
            let folder = folder.path().to_owned();
            Server::start(&format!("redis{n}"), move |address| {
                let mut command = Command::new("redis-server");
                command.args(["--port", &address.port().to_string(), "--save", "", "--bind", "127.0.0.1"]);
                command.arg("--dir").arg(&folder);
                command
            })
        })
        .collect();
    let balancer = balancer(&servers, "", "");
    let from = |n: usize| format!("127.7.{n}.1");
    for n in 0..90 {
        let answer = redis(balancer.address, Some(&from(n)), &["SET", "own", &n.to_string()]);
        assert!(answer.starts_with("+OK"), "{answer}");
        // Another key for each client: all of a server's clients share it.
        redis(balancer.address, Some(&from(n)), &["SET", &format!("of-{n}"), &n.to_string()]);
    }
    let lost = || {
        let finds = |n: &usize| {
            redis(balancer.address, Some(&from(*n)), &["GET", &format!("of-{n}")])
                .contains(&format!("\r\n{n}\r\n"))
        };
        (0..90).filter(|n| !finds(n)).count()
    };
    assert_eq!(lost(), 0, "steady");
    let of_dead = balancer.sessions().backends[0].live.learned;
    assert!(of_dead > 5 && of_dead < 80, "{of_dead}");
    servers[0].kill();
    assert_eq!(u64::try_from(lost()).unwrap(), of_dead, "only those of the dead one");
    servers[0].restart();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(u64::try_from(lost()).unwrap(), of_dead, "moved once: nobody else moves when it returns");
}

#[test]
#[ignore = "needs mosquitto and mosquitto-clients"]
fn an_mqtt_device_keeps_its_broker_when_its_address_changes() {
    let folder = tempfile::tempdir().unwrap();
    let servers: Vec<_> = (1..=3)
        .map(|n| {
            let file = folder.path().join(format!("mosquitto{n}.conf"));
            Server::start(&format!("broker{n}"), move |address| {
                let text = format!("listener {} 127.0.0.1\nallow_anonymous true\n", address.port());
                std::fs::write(&file, text).unwrap();
                let mut command = Command::new("mosquitto");
                command.arg("-c").arg(&file);
                command
            })
        })
        .collect();
    let balancer = balancer(&servers, "", "    affinity: { client_name: mqtt_client_id }\n");
    let to = balancer.address;
    let client = |program: &str, from: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(["-h", &to.ip().to_string(), "-p", &to.port().to_string(), "-A", from, "-q", "1"]);
        command.args(arguments);
        said(&command.output().unwrap())
    };
    for n in 0..8 {
        let (id, topic) = (format!("device-{n}"), format!("to/device-{n}"));
        // A subscription that outlives its connection, on whatever broker that is.
        client("mosquitto_sub", "127.3.0.1", &["-i", &id, "-c", "-t", &topic, "-W", "1"]);
        for server in &servers {
            let port = server.address().port().to_string();
            let published = Command::new("mosquitto_pub")
                .args([
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &port,
                    "-q",
                    "1",
                    "-t",
                    &topic,
                    "-m",
                    &format!("hello from {port}"),
                ])
                .output()
                .unwrap();
            assert!(published.status.success(), "{}", said(&published));
        }
        let other = format!("127.3.{}.7", n + 1);
        let heard = client("mosquitto_sub", &other, &["-i", &id, "-c", "-t", &topic, "-C", "1", "-W", "5"]);
        assert!(heard.contains("hello from"), "{id} found its broker from another address: {heard}");
    }
    let homes = balancer.sessions().backends.iter().filter(|backend| backend.live.learned > 0).count();
    assert!(homes >= 2, "they are spread");
}

#[test]
#[ignore = "needs openssl"]
fn tls_passes_through_by_server_name_and_alpn() {
    let folder = tempfile::tempdir().unwrap();
    let servers: Vec<_> = ["mail.test", "web.test", "default.test"]
        .iter()
        .map(|name| {
            let (key, cert) =
                (folder.path().join(format!("{name}.key")), folder.path().join(format!("{name}.pem")));
            let made = Command::new("openssl")
                .args([
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-subj",
                ])
                .arg(format!("/CN={name}"))
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(&cert)
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", said(&made));
            Server::start(&name.replace('.', "-"), move |address| {
                let mut command = Command::new("openssl");
                command.args([
                    "s_server",
                    "-accept",
                    &address.to_string(),
                    "-quiet",
                    "-www",
                    "-alpn",
                    "imap,h2",
                ]);
                command.arg("-key").arg(&key).arg("-cert").arg(&cert);
                command
            })
        })
        .collect();
    let pool = |n: usize| {
        let server: &Server = &servers[n];
        format!("{{ backends: [ {{ id: {}, address: \"{}\" }} ] }}", server.name, server.address())
    };
    let balancer = Layer4::start(&format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: tls\n    protocol: tcp\n    address: 127.0.0.1:0\n    tls_routes:\n      \
         - {{ server_name: [a.test], alpn: [imap], pool: mail }}\n      - {{ server_name: [a.test, \"*.web.test\"], pool: web }}\n    pool: default\n\
         pools:\n  mail: {}\n  web: {}\n  default: {}\n",
        pool(0),
        pool(1),
        pool(2)
    ));
    let who = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &balancer.address.to_string(), "-showcerts"]).args(arguments);
        let output = said(&command.stdin(Stdio::null()).output().unwrap());
        let subject = output
            .lines()
            .find_map(|line| line.trim().strip_prefix("subject="))
            .unwrap_or(&output)
            .to_owned();
        subject.trim_start_matches("CN").trim_start_matches([' ', '=']).to_owned()
    };
    assert_eq!(who(&["-servername", "a.test", "-alpn", "h2,imap"]), "mail.test");
    assert_eq!(who(&["-servername", "a.test", "-alpn", "h2"]), "web.test");
    assert_eq!(who(&["-servername", "x.y.WEB.test"]), "web.test");
    assert_eq!(who(&["-servername", "web.test"]), "default.test");
    assert_eq!(who(&["-noservername"]), "default.test");
    assert_eq!(who(&["-servername", "a.test", "-tls1_2"]), "web.test");
}
