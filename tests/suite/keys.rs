//! Rotation of the key that the state folder has.

use crate::support::balancer::apps;
use crate::support::exchange::get;
use crate::support::program::{Program, text};
use nix::sys::signal::Signal;

#[test]
fn a_rotated_key_seals_and_the_ones_before_open_also_after_an_upgrade() {
    let apps = apps(3);
    let program = Program::start(&apps);
    let own_keys = text(program.address, &apps, "");
    let own_keys: Vec<_> = own_keys.lines().filter(|line| !line.starts_with("keys:")).collect();
    program.reload(&own_keys.join("\n"), "configuration reloaded");
    let rotate = || {
        let mut admin = std::os::unix::net::UnixStream::connect(program.admin()).unwrap();
        let request = "POST /v1/keys/rotate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        std::io::Write::write_all(&mut admin, request.as_bytes()).unwrap();
        std::io::read_to_string(admin).unwrap()
    };
    let mut clients = Vec::new();
    let mut meet = |n: usize| {
        for client in 0..10 {
            let first = get(program.address, "/", &[&format!("User-Agent: {n} {client}")]);
            clients.push((first.server().to_owned(), first.cookie("steadfast-").unwrap()));
        }
    };
    meet(0);
    for n in 1..=3 {
        let answer = rotate();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        meet(n);
    }
    let all_are_home = |when: &str| {
        for (home, token) in &clients {
            // Without the application's cookie, only the token knows.
            let again = get(program.address, "/plain", &[&format!("Cookie: {token}")]);
            assert_eq!(again.server(), home, "steady: {when}");
        }
    };
    all_are_home("after the rotations");
    program.signal(Signal::SIGUSR2, "upgraded: process");
    all_are_home("after an upgrade");
    let state = program.file().with_file_name("state");
    std::fs::remove_file(state.join("token.key.3")).unwrap();
    std::fs::remove_file(state.join("token.key.2")).unwrap();
    program.signal(Signal::SIGUSR2, "upgraded: process");
    let strays = clients.iter().filter(|(home, token)| {
        get(program.address, "/plain", &[&format!("Cookie: {token}"), "User-Agent: other"]).server() != home
    });
    assert!(strays.count() > 0, "without its key a token leads nowhere");
}
