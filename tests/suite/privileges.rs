//! Root is given up after start. As another user than root there is nothing to test.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};

use crate::support::balancer::apps;
use crate::support::exchange::get;
use crate::support::program::Program;

const USER: &str = "nobody";

/// The ids of a process: real, effective, saved and file system's; for users, groups and further groups.
fn ids(program: &Program) -> (String, String, String) {
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    let line = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().replace('\t', " ")
    };
    (line("Uid:"), line("Gid:"), line("Groups:"))
}

#[test]
fn root_is_given_up_and_an_upgrade_still_works() {
    if !geteuid().is_root() {
        return eprintln!("not root: nothing to give up");
    }
    let user = User::from_name(USER).unwrap().unwrap();
    let (uid, gid) = (user.uid, user.gid);
    let expected = (format!("{uid} {uid} {uid} {uid}"), format!("{gid} {gid} {gid} {gid}"), String::new());
    let apps = apps(1);
    let program = Program::start_as(&apps, USER);
    assert_eq!(ids(&program), expected);
    let first = get(program.address, "/", &[]);
    assert_eq!(first.status, 200);
    let state = program.file().parent().unwrap().join("state");
    for path in [state.clone(), state.join("learned.redb")] {
        if let Ok(metadata) = fs::metadata(&path) {
            assert_eq!(metadata.uid(), uid.as_raw(), "{}", path.display());
        }
    }
    let before = program.pid();
    program.signal(Signal::SIGUSR2, "upgraded: process");
    assert_ne!(program.pid(), before);
    assert_eq!(ids(&program), expected);
    let again = get(program.address, "/", &[&format!("Cookie: {}", first.cookies())]);
    assert_eq!((again.status, again.word("fresh=")), (200, "false"));
}
