//! What attackers and conformance suites do, by programs of others: `slowhttptest` in all its modes, and the Python package
//! `websockets`. Ignored unless asked for (`make e2e-protocols`).

#[cfg(test)]
#[expect(dead_code, reason = "some of it serves other tests only")]
mod support;

#[cfg(test)]
mod attacks {
    use std::net::SocketAddr;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use crate::support::app::App;
    use crate::support::balancer::{SHARED, configuration};
    use crate::support::exchange::get;
    use crate::support::ports::Port;
    use crate::support::program::Program;

    /// Connections of each attack.
    const CONNECTIONS: &str = "500";
    /// What the attacked process may take: the buffers' 300 MiB, 500 connections, and itself, built without optimisation.
    const MOST_KIB: u64 = 450 * 1024;

    fn attack(mode: &[&str], url: &str) -> Child {
        let steady = ["-c", CONNECTIONS, "-r", "250", "-l", "120", "-p", "5", "-u", url];
        Command::new("slowhttptest")
            .args(mode)
            .args(steady)
            .stdout(Stdio::null())
            .spawn()
            .expect("slowhttptest is there: `make protocols-deps`")
    }

    /// Steadfast before an application of its own.
    fn start() -> (App, Program) {
        let (app, port) = (App::start("app1"), Port::reserve());
        let listener = "    timeouts: { head: 60s, body: 60s, idle: 60s, write: 60s }\n    buffer: { request: {}, response: 512KiB, memory: 300MiB }\n";
        let top = format!("{SHARED}server: {{ pid_file: pid, threads: 2 }}\n");
        // Fewer than the attackers are: none of them may keep one.
        let pool = "    limits: { connections_per_backend: 100 }\n";
        let text = configuration(std::slice::from_ref(&app), &top, listener, pool);
        let text = text.replace("127.0.0.1:0", &port.address().to_string());
        (app, Program::run(port, &text))
    }

    /// How long answers took: of the one that is attacked, and of one beside it that is not. What the machine does otherwise, and
    /// what the attack costs it as such, is in both.
    #[derive(Default)]
    struct Took([Vec<Duration>; 2]);

    impl Took {
        /// Asks each in turn, each time over a connection of its own.
        #[expect(clippy::disallowed_methods, reason = "measures")]
        fn measure(&mut self, programs: [&Program; 2]) {
            for _ in 0..300 {
                for (program, took) in programs.iter().zip(&mut self.0) {
                    std::thread::sleep(Duration::from_millis(3));
                    let start = Instant::now();
                    assert_eq!(get(program.address, "/plain", &[]).status, 200, "others are served");
                    took.push(start.elapsed());
                }
            }
        }

        /// The times that 99 of 100 answers stay below.
        fn p99(&self) -> [Duration; 2] {
            self.0.each_ref().map(|took| {
                let mut sorted = took.clone();
                sorted.sort();
                sorted[sorted.len() * 99 / 100]
            })
        }
    }

    /// Connections to a port of this machine that are open.
    fn connections(address: SocketAddr) -> usize {
        let local = format!(":{:04X}", address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let open = |line: &&str| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|it| it.ends_with(&local)) && words.nth(1) == Some("01")
        };
        table.lines().filter(open).count()
    }

    /// Waits until no attacker comes any more, and none gets a page any more: to serve pages costs time, whoever reads them. Gives
    /// how many have come.
    fn settle(app: &App, program: &Program) -> u64 {
        let (begun, mut before, mut still) = (app.requests(), (0, 0), 0);
        for _ in 0..300 {
            std::thread::sleep(Duration::from_millis(100));
            let (asked, open) = (app.requests() - begun, connections(program.address));
            still = if (asked, open) == before { still + 1 } else { 0 };
            before = (asked, open);
            if still == 5 && (asked, open) != (0, 0) {
                return asked.max(u64::try_from(open).unwrap());
            }
        }
        panic!("attackers come and go: {before:?} requests and connections");
    }

    fn resident_kib(program: &Program) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    #[ignore = "needs slowhttptest; `make e2e-protocols`"]
    fn slow_clients_of_every_kind_leave_the_others_alone() {
        let ((app, program), (_other, beside)) = (start(), start());
        let mut quiet = Took::default();
        quiet.measure([&program, &beside]);
        println!("quiet: p99 {:?}, {} KiB", quiet.p99(), resident_kib(&program));
        let modes: [(&str, &[&str], &str); 4] = [
            ("slow headers", &["-H", "-i", "1", "-x", "24"], "/plain"),
            ("slow bodies", &["-B", "-i", "1", "-s", "8192", "-x", "10"], "/plain"),
            ("ranges", &["-R", "-a", "10", "-b", "3000"], "/plain"),
            ("slow readers", &["-X", "-w", "10", "-y", "20", "-n", "2", "-z", "32", "-k", "3"], "/leaf"),
        ];
        for (name, mode, path) in modes {
            let (mut took, mut kib) = (Took::default(), 0);
            let round = |round| {
                let mut attacker = attack(mode, &format!("http://{}{path}", program.address));
                let attackers = settle(&app, &program);
                took.measure([&program, &beside]);
                kib = kib.max(resident_kib(&program));
                let _ = attacker.kill();
                let _ = attacker.wait();
                let [attacked, unharmed] = took.p99();
                println!(
                    "{name}, {attackers} of them: p99 {attacked:?}, of one that is not attacked {unharmed:?}, {kib} KiB"
                );
                round >= 3 && attacked <= 2 * unharmed
            };
            // All rounds count: what a busy machine does is spread over both, and what the attack does to us, it does in each.
            assert!((1..=6).any(round), "{name}: others wait more than twice as long");
            assert!(kib < MOST_KIB, "{name}: {kib} KiB");
        }
    }
}

#[cfg(test)]
mod websockets {
    use std::collections::BTreeMap;
    use std::net::TcpStream;
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use crate::support::app::App;
    use crate::support::balancer::{SHARED, configuration};
    use crate::support::ports::Port;
    use crate::support::program::Program;

    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn script(arguments: &[&str]) -> Command {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(root.join("target/websockets/bin/python"));
        command.arg(root.join("tests/data/websocket/echo.py")).args(arguments).stderr(Stdio::null());
        command
    }

    fn checked(port: u16) -> String {
        let output = script(&["check", &port.to_string()]).output().unwrap();
        assert!(output.status.success(), "`make protocols-deps` makes target/websockets");
        String::from_utf8(output.stdout).unwrap()
    }

    /// An echo server of Python's, directly and through Steadfast: their ports.
    fn both() -> (u16, u16, Server, Program) {
        let (server, port) = (Port::reserve(), Port::reserve());
        let direct = server.address().port();
        let child = Server(script(&["serve", &direct.to_string()]).spawn().expect("`make protocols-deps`"));
        let listens = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(server.address()).is_ok()
        });
        assert!(listens, "the echo server listens");
        let apps: [App; 0] = [];
        let top = format!("{SHARED}server: {{ pid_file: pid, threads: 2 }}\n");
        let backends = format!("    backends: [ {{ id: echo, address: \"{}\" }} ]\n", server.address());
        let text = configuration(&apps, &top, "    buffer: { request: {}, response: 64KiB }\n", "")
            .replace("    backends: [  ]\n", &backends)
            .replace("127.0.0.1:0", &port.address().to_string());
        let program = Program::run(port, &text);
        (direct, program.address.port(), child, program)
    }

    #[test]
    #[ignore = "needs Python's websockets; `make e2e-protocols`"]
    fn websockets_pass_as_they_do_without_a_balancer() {
        let (direct, through, _server, _program) = both();
        let (without, with) = (checked(direct), checked(through));
        let differ: Vec<_> = without.lines().zip(with.lines()).filter(|(one, other)| one != other).collect();
        let count = with.lines().count();
        assert!(differ.is_empty() && without.lines().count() == count, "{differ:#?}");
        println!("{count} WebSocket cases, with Steadfast as without");
        assert!(count > 300);
        let expected = [
            "sizes, []: None",
            "invalid UTF-8, []: [], closed: 1007",
            "reserved opcode 3, []: [], closed: 1002",
        ];
        assert!(expected.iter().all(|line| with.lines().any(|said| said == *line)), "{with}");
    }

    /// All cases of the Autobahn suite but those of throughput and compression, in which a balancer has no part.
    #[test]
    #[ignore = "needs Autobahn's wstest, and so Python 2.7; `make e2e-protocols`"]
    fn the_autobahn_suite_finds_no_difference() {
        let wstest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/autobahn/bin/wstest");
        if !wstest.exists() {
            println!("left out: there is no Python 2.7 for Autobahn's wstest");
            return;
        }
        let (direct, through, _server, _program) = both();
        let folder = tempfile::tempdir().unwrap();
        let server = |agent: &str, port: u16| serde_json::json!({ "agent": agent, "url": format!("ws://127.0.0.1:{port}") });
        let spec = serde_json::json!({
            "outdir": "reports",
            "servers": [server("direct", direct), server("through", through)],
            "cases": ["*"],
            "exclude-cases": ["9.*", "12.*", "13.*"],
            "exclude-agent-cases": {},
        });
        std::fs::write(folder.path().join("spec.json"), spec.to_string()).unwrap();
        let arguments = ["-m", "fuzzingclient", "-s", "spec.json"];
        let output = Command::new(wstest).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report = std::fs::read_to_string(folder.path().join("reports/index.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let results = |agent: &str| -> BTreeMap<String, [serde_json::Value; 3]> {
            let cases = report[agent].as_object().unwrap().iter();
            let result = |case: &serde_json::Value| {
                ["behavior", "behaviorClose", "remoteCloseCode"].map(|name| case[name].clone())
            };
            cases.map(|(name, case)| (name.clone(), result(case))).collect()
        };
        let (without, with) = (results("direct"), results("through"));
        let differ: Vec<_> =
            without.iter().filter(|(name, result)| with.get(*name) != Some(*result)).collect();
        let well = with.values().filter(|[behavior, ..]| behavior == "OK").count();
        println!(
            "Autobahn: {} cases, {well} of them OK, {} not as without Steadfast",
            with.len(),
            differ.len()
        );
        assert!(with.len() > 200 && differ.is_empty(), "{differ:#?}");
    }
}
