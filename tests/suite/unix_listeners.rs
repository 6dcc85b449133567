//! Layer 4: clients at sockets in the file system.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{User, geteuid};
use serde_json::Value;
use steadfast::Steadfast;
use steadfast::listen::{ProxyVersion, proxy_header};
use tempfile::TempDir;

use crate::support::balancer::{apps, checked};
use crate::support::eventually::soon;
use crate::support::layer4::{Layer4, tcp};
use crate::support::ports::Port;
use crate::support::program::Program;
use crate::support::tcp::{Echo, Talk, client};

/// A client's connection, and who is at its other end.
struct Local {
    home: String,
    reader: BufReader<UnixStream>,
}

impl Local {
    fn to(path: &Path) -> io::Result<Self> {
        Self::saying(b"", path)
    }

    /// Connects, says something first, and reads who answers.
    fn saying(first: &[u8], path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
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
    fn echo(&mut self, line: &str) -> io::Result<String> {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes())?;
        self.line()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        rest
    }
}

/// A configuration with a listener at an IP address, and one at a socket that `more` says more of.
fn text(apps: &[Echo], path: &Path, more: &str, pool: &str) -> String {
    let apps: Vec<_> = apps.iter().collect();
    with_listener(&tcp(&apps, &[], "", pool), path, more)
}

fn with_listener(text: &str, path: &Path, more: &str) -> String {
    let path = path.display();
    let listener =
        format!("  - {{ name: local, protocol: tcp, address: \"unix:{path}\", pool: app{more} }}\n");
    text.replace("pools:\n", &format!("{listener}pools:\n"))
}

fn socket() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sock");
    (folder, path)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What a proxy in front says of a client.
fn header(client: u8) -> Vec<u8> {
    let client = SocketAddr::from(([203, 0, 113, client], 4711));
    proxy_header(ProxyVersion::V2, client, SocketAddr::from(([192, 0, 2, 1], 636)))
}

#[test]
fn bytes_pass_both_ways_and_a_half_closed_connection_goes_on() {
    let (folder, path) = socket();
    // The one repeats what it hears, the other answers once it has heard all.
    let apps = Echo::several("app", 1);
    let backend = folder.path().join("backend.sock");
    let listener = UnixListener::bind(&backend).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard);
            let _ = stream.write_all(b"app2\n");
            let _ = stream.write_all(&heard);
        }
    });
    let here = format!("address: \"unix:{}\"", backend.display());
    let both = [
        text(&apps, &path, "", ""),
        text(&apps, &path, "", "").replace(&format!("address: \"{}\"", apps[0].address()), &here),
    ];
    let much: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    for (text, home) in both.iter().zip(["app1", "app2"]) {
        let mut balancer = Layer4::start(text);
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (mut writer, sent) = (stream.try_clone().unwrap(), much.clone());
        let writing = thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut local = Local { home: String::new(), reader: BufReader::new(stream) };
        assert_eq!(local.line().unwrap(), home);
        assert!(local.rest() == much, "every byte, in order, and the end behind them");
        writing.join().unwrap();
        balancer.stop();
    }
}

#[test]
fn clients_at_a_socket_are_one_client_on_this_machine_unless_a_proxy_in_front_tells_them_apart() {
    let (_folder, path) = socket();
    let apps = Echo::several("app", 4);
    let balancer = Layer4::start(&text(&apps, &path, "", ""));
    let machine = Talk::from([127, 0, 0, 1].into(), balancer.address).unwrap().home;
    for _ in 0..5 {
        assert_eq!(Local::to(&path).unwrap().home, machine, "127.0.0.1");
    }
    let known: u64 = balancer.sessions().backends.iter().map(|backend| backend.live.learned).sum();
    assert_eq!(known, 1, "all of them are one client");
    let mut believed = Local::saying(b"PROXY TCP4 203.0.113.1 192.0.2.1 1 2\r\n", &path).unwrap();
    assert!(believed.line().unwrap().starts_with("PROXY TCP4"), "not believed where nobody is trusted");
    drop(balancer);

    let (_folder, path) = socket();
    let trusts = ", proxy_protocol: { trusted: [127.0.0.0/8] }, timeouts: { handshake: 500ms }";
    let balancer = Layer4::start(&text(&apps, &path, trusts, "    proxy_protocol: v1\n"));
    let through = |client: u8| Local::saying(&header(client), &path).unwrap();
    let homes: Vec<_> = (1..40).map(|client| through(client).home).collect();
    for app in &apps {
        assert!(homes.contains(&app.name), "{homes:?}");
    }
    for (client, home) in (1..40).zip(&homes) {
        let mut again = through(client);
        assert_eq!(again.home, *home, "steady");
        assert_eq!(again.line().unwrap(), format!("PROXY TCP4 203.0.113.{client} 192.0.2.1 4711 636"));
    }
    let itself = Local::saying(b"PROXY UNKNOWN\r\n", &path).unwrap().line().unwrap();
    assert_eq!(itself, "PROXY UNKNOWN", "the proxy's own connection");
    assert!(Local::to(&path).is_err(), "without its header it is not served");
    let own = Talk::from(client(1), balancer.address).unwrap().echo("x").unwrap();
    assert!(own.starts_with("PROXY TCP4 127."), "a client of TCP has an address: {own}");
}

#[test]
fn a_backend_is_told_that_a_client_without_address_has_none() {
    let (_folder, path) = socket();
    let apps = Echo::several("app", 1);
    for (version, expected) in
        [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00")]
    {
        let mut balancer =
            Layer4::start(&text(&apps, &path, "", &format!("    proxy_protocol: {version}\n")));
        let mut local = Local::saying(b"and this", &path).unwrap();
        local.reader.get_mut().shutdown(Shutdown::Write).unwrap();
        assert_eq!(local.rest(), [expected, b"and this"].concat(), "{version}");
        balancer.stop();
    }
}

#[test]
fn tls_at_a_socket_goes_where_its_server_name_leads() {
    let (_folder, path) = socket();
    let apps = Echo::several("app", 2);
    let pool =
        |app: &Echo| format!("{{ backends: [ {{ id: {}, address: \"{}\" }} ] }}", app.name, app.address());
    let routes = ", tls_routes: [ { server_name: a.test, pool: tls } ], tcp: { first_bytes: 1s }";
    let text = text(&apps[..1], &path, routes, "") + &format!("  tls: {}\n", pool(&apps[1]));
    let _balancer = Layer4::start(&text);
    let hello = crate::layer4::client_hello("a.test", &[]);
    let mut local = Local::saying(&hello, &path).unwrap();
    assert_eq!(local.home, "app2");
    let mut back = vec![0; hello.len()];
    local.reader.read_exact(&mut back).unwrap();
    assert!(back == hello, "every byte goes on as it came");
    assert_eq!(Local::saying(&crate::layer4::client_hello("b.test", &[]), &path).unwrap().home, "app1");
}

#[test]
fn limits_and_the_end_of_silence_hold_at_a_socket() {
    let (_folder, path) = socket();
    let apps = Echo::several("app", 1);
    let more = ", limits: { connections_per_client: 2 }, tcp: { idle: 1s }";
    let balancer = Layer4::start(&text(&apps, &path, more, ""));
    let mut silent = [Local::to(&path).unwrap(), Local::to(&path).unwrap()];
    let refused = Local::to(&path);
    assert!(refused.is_err(), "the third connection of one client");
    assert_eq!(balancer.listeners[1].open(), 2);
    for silent in &mut silent {
        assert_eq!(silent.rest(), b"", "ended");
    }
    soon("their places are given back", || Local::to(&path).ok());
}

#[test]
fn whoever_may_connect_is_whom_the_mode_names() {
    let (_folder, path) = socket();
    let apps = Echo::several("app", 1);
    let mut balancer = Layer4::start(&text(&apps, &path, "", ""));
    assert_eq!(mode(&path), 0o600, "nobody else, unless that is said");
    balancer.reload(&text(&apps, &path, ", socket_mode: \"0660\"", ""));
    assert_eq!(mode(&path), 0o660, "from a reload on");
    balancer.stop();
    assert!(!path.exists(), "the file goes with the listener");
    let balancer = balancer.again(&text(&apps, &path, ", socket_mode: 0666", ""));
    assert_eq!(mode(&path), 0o666);
    assert_eq!(Local::to(&path).unwrap().home, "app1");
    let elsewhere = path.with_file_name("other.sock");
    let other = checked(&text(&apps, &elsewhere, "", ""), path.parent().unwrap());
    let refused = balancer.control.put_in_force(other).unwrap_err().to_string();
    let expected = format!("listener `local` was on unix:{}", path.display());
    assert!(refused.contains(&expected), "{refused}");
}

#[test]
fn a_file_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let (folder, path) = socket();
    let apps = Echo::several("app", 1);
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let text = text(&apps, &path, "", "");
    let _balancer = Layer4::start(&text);
    let mut open = Local::to(&path).unwrap();
    let second = Steadfast::from_checked(checked(&text, folder.path())).bind();
    let error = second.err().unwrap().to_string();
    let expected = format!("cannot listen on unix:{}", path.display());
    assert!(error.contains(&expected) && error.contains("another process listens there"), "{error}");
    assert_eq!(open.echo("still here").unwrap(), "still here");
    assert_eq!(Local::to(&path).unwrap().home, "app1");
}

#[test]
fn an_upgrade_hands_the_socket_over_and_the_file_goes_with_the_last_process() {
    let (_folder, path) = socket();
    let apps = Echo::several("app", 2);
    let port = Port::reserve();
    let top = "server: { pid_file: pid, threads: 2 }\nadmin: { listen: \"unix:admin.sock\" }\nlisteners:";
    let text = text(&apps, &path, "", "")
        .replace("127.0.0.1:0", &port.address().to_string())
        .replace("listeners:", top);
    let mut program = Program::run(port, &text);
    let file = fs::metadata(&path).unwrap().ino();
    let shown = |program: &Program| {
        let (code, said) = program.command(&["status", "--json"]);
        assert_eq!(code, 0, "{said}");
        let status: Value = serde_json::from_str(&said).unwrap();
        status["listeners"].as_array().unwrap().iter().map(|it| it["address"].to_string()).collect::<Vec<_>>()
    };
    let address = format!("\"unix:{}\"", path.display());
    assert!(shown(&program).contains(&address), "{:?}", shown(&program));
    let mut open = Local::to(&path).unwrap();
    let connecting = |path: PathBuf| {
        thread::spawn(move || (0..300).filter_map(|_| Local::to(&path).err()).collect::<Vec<_>>())
    };
    let meanwhile = connecting(path.clone());
    for _ in 0..2 {
        let old = program.pid();
        program.signal(Signal::SIGUSR2, "upgraded: process");
        assert_ne!(program.pid(), old);
        assert_eq!(open.echo("in the old process").unwrap(), "in the old process", "whole");
        assert_eq!(Local::to(&path).unwrap().home, open.home, "steady");
    }
    assert!(meanwhile.join().unwrap().is_empty(), "whole: every connect was served");
    drop(open);
    program.settle();
    assert_eq!(
        fs::metadata(&path).unwrap().ino(),
        file,
        "the same socket, and the old processes left its file"
    );
    assert!(shown(&program).contains(&address));
    kill(program.pid(), Signal::SIGTERM).unwrap();
    soon("the last process has removed it", || (!path.exists()).then_some(()));
}

#[test]
fn a_successor_that_dies_leaves_the_file_to_the_process_that_accepts_again() {
    let (_folder, path) = socket();
    let apps = Echo::several("app", 1);
    let port = Port::reserve();
    let text = text(&apps, &path, "", "")
        .replace("127.0.0.1:0", &port.address().to_string())
        .replace("listeners:", "server: { pid_file: pid, threads: 2 }\nlisteners:");
    let program = Program::run(port, &text);
    let old = program.pid();
    // Keeps the old process busy.
    let mut open = Local::to(&path).unwrap();
    program.signal(Signal::SIGUSR2, "upgraded: process");
    let (new, before) = (program.pid(), program.log().len());
    assert_ne!(new, old);
    kill(new, Signal::SIGKILL).unwrap();
    program.wait_for(before, "accepts again");
    assert_eq!(Local::to(&path).unwrap().home, "app1", "it is found there");
    assert_eq!(open.echo("still here").unwrap(), "still here");
    soon("its number is in the file", || (program.pid() == old).then_some(()));
    // From a moment after it has said that it accepts.
    soon("it is succeeded again", || {
        program.signal(Signal::SIGUSR2, "upgraded").contains("upgraded: process").then_some(())
    });
    let before = program.log().len();
    kill(program.pid(), Signal::SIGTERM).unwrap();
    program.wait_for(before, "as it was told to");
    assert!(path.exists(), "the process before has not ended");
    drop(open);
    soon("the last process has removed it", || (!path.exists()).then_some(()));
}

#[test]
fn the_file_belongs_to_the_user_that_root_is_given_up_for() {
    if !geteuid().is_root() {
        return eprintln!("not root: nothing to give up");
    }
    let user = User::from_name("nobody").unwrap().unwrap();
    let (folder, path) = socket();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = Program::start_as_with(&apps(1), "nobody", |text| {
        let local = text.replace("pools:\n", "  - { name: local, protocol: tcp, address: \"unix:PATH\", pool: db }\npools:\n  db: { backends: [ { id: a, address: \"127.0.0.1:1\" } ] }\n");
        local.replace("PATH", &path.display().to_string())
    });
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.uid(), file.gid(), mode(&path)), (user.uid.as_raw(), user.gid.as_raw(), 0o600));
    kill(program.pid(), Signal::SIGTERM).unwrap();
    soon("its user has removed it", || (!path.exists()).then_some(()));
}
