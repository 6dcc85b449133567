//! `reload: { watch: true }`: a file that has changed is put in force.

use std::fs;

use crate::support::app::App;
use crate::support::balancer::apps;
use crate::support::exchange::get;
use crate::support::program::{Program, text};

#[test]
fn a_changed_file_is_reloaded_and_a_bad_one_is_not() {
    let mut apps = apps(1);
    let watch = |text: String| format!("{text}reload: {{ watch: true }}\n");
    let program = Program::start(&apps);
    program.reload(&watch(text(program.address, &apps, "")), "configuration reloaded");
    // The first look must have seen the file as it is.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let before = program.log().len();
    apps.push(App::start("app2"));
    fs::write(program.file(), watch(text(program.address, &apps, ""))).unwrap();
    let log = program.wait_for(before, "backend app2: added");
    assert!(log.contains("a watched file has changed"), "{log}");
    let before = program.log().len();
    fs::write(program.file(), watch(text(program.address, &apps, "    retires: {}\n"))).unwrap();
    let log = program.wait_for(before, "configuration refused");
    assert!(log.contains("did you mean `retries`"), "{log}");
    assert_eq!(get(program.address, "/", &[]).status, 200);
    // A file that it names counts as much.
    let key = program.file().with_file_name("token.key");
    fs::write(&key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
    let with_key = watch(text(program.address, &apps, ""))
        .replace("value: \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"", "file: token.key");
    let before = program.log().len();
    fs::write(program.file(), with_key).unwrap();
    program.wait_for(before, "configuration reloaded");
    let before = program.log().len();
    fs::write(&key, "BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
    program.wait_for(before, "configuration reloaded: keys");
}
