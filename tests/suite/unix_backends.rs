//! Layer 4: backends at sockets in the file system.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use steadfast::clock::Now;
use steadfast::pool::State;

use crate::support::eventually::soon;
use crate::support::layer4::{Layer4, tcp};
use crate::support::tcp::{Talk, client};

/// Says its name to each connection, and then repeats what it hears, until its socket is gone.
fn echo(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{name}.sock"));
    let listener = UnixListener::bind(&path).unwrap();
    let (name, own) = (name.to_owned(), path.clone());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            if !own.exists() {
                return;
            }
            let name = name.clone();
            thread::spawn(move || {
                let _ = stream.write_all(format!("{name}\n").as_bytes());
                let mut room = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut room) {
                    let _ = stream.write_all(&room[..length]);
                }
            });
        }
    });
    path
}

fn configuration(backends: &[(&str, &Path)], pool: &str) -> String {
    let backend =
        |(id, path): &(&str, &Path)| format!("{{ id: {id}, address: \"unix:{}\" }}", path.display());
    let backends: Vec<_> = backends.iter().map(backend).collect();
    tcp(&[], &[], "", pool).replace("backends: [  ]", &format!("backends: [ {} ]", backends.join(", ")))
}

#[test]
fn connections_go_to_unix_sockets_and_stay_there() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = ["app1", "app2", "app3"].map(|name| echo(folder.path(), name)).into();
    let backends = [("app1", &*paths[0]), ("app2", &*paths[1]), ("app3", &*paths[2])];
    let balancer = Layer4::start(&configuration(
        &backends,
        "    health: { tcp: true, interval: 100ms, timeout: 100ms, fall: 1 }\n",
    ));
    let home = |n| Talk::from(client(n), balancer.address).map(|talk| talk.home).unwrap_or_default();
    let before: Vec<_> = (0..60).map(home).collect();
    for name in ["app1", "app2", "app3"] {
        assert!(before.iter().any(|home| home == name), "{name} has clients: {before:?}");
    }
    let mut talk = Talk::from(client(1), balancer.address).unwrap();
    let much = "7".repeat(100_000);
    assert!(talk.echo(&much).unwrap() == much);
    // One is gone: its clients move, all others stay.
    std::fs::remove_file(&paths[0]).unwrap();
    soon("it is seen", || {
        (balancer.current.load().pools[0].pool.backends()[0].state(Now::read()) == State::Down).then_some(())
    });
    let after: Vec<_> = (0..60).map(home).collect();
    for (n, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before == after, before != "app1", "{n}: {before}, then {after}");
    }
    let status = balancer.current.load().pools[0].pool.backends()[1].address().to_string();
    assert_eq!(status, format!("unix:{}", paths[1].display()));
}
