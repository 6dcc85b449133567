//! The commands that ask a running balancer, with the real program on both sides; and the page that tells of them.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::app::App;
use crate::support::balancer::{SHARED, apps, configuration};
use crate::support::eventually::eventually;
use crate::support::exchange::get;
use crate::support::ports::Port;
use crate::support::steadfast::Steadfast;

const TOKEN: &str = "0123456789abcdef-SECRET-0123456789";

/// A running program, and commands to it.
struct Operated {
    steadfast: Steadfast,
    address: SocketAddr,
}

impl Operated {
    /// Starts the program with an admin API on a socket beside its configuration file.
    async fn start(apps: &[App]) -> Self {
        let port = Port::reserve();
        let address = port.address();
        Self { steadfast: Steadfast::start(port, &text(address, apps, "")).await, address }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.steadfast.file().parent().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.folder());
        command.args(arguments).args(["-c", "steadfast.yaml"]);
        command
    }

    /// What a command says; it must be done.
    fn run(&self, arguments: &[&str]) -> String {
        said(self.command(arguments).output().unwrap(), 0)
    }

    /// What a command complains about.
    fn fail(&self, arguments: &[&str]) -> String {
        said(self.command(arguments).output().unwrap(), 1)
    }

    /// What a command says when it reads `input`.
    fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let mut child = self.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        said(child.wait_with_output().unwrap(), 0)
    }
}

fn text(address: SocketAddr, apps: &[App], pool: &str) -> String {
    let top = format!("{SHARED}admin: {{ listen: 'unix:admin.sock' }}\n");
    configuration(apps, &top, "", pool).replace("127.0.0.1:0", &address.to_string())
}

/// The program, unaware of what the machine's own environment says.
fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steadfast"));
    command.current_dir(folder).env_remove("STEADFAST_ADMIN").env_remove("STEADFAST_ADMIN_TOKEN");
    command
}

fn said(output: Output, code: i32) -> String {
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    format!("{out}{err}")
}

#[tokio::test]
async fn status_shows_backends_and_where_they_differ_from_the_file() {
    let apps = apps(2);
    let operated = Operated::start(&apps).await;
    let status = operated.run(&["status"]);
    assert!(status.contains(": ready") && status.contains(&operated.address.to_string()), "{status}");
    assert!(status.contains("app/app1") && !status.contains("Differs"), "{status}");
    assert!(operated.run(&["drain", "app/app1", "--deadline", "1h 30m"]).contains("app/app1: draining"));
    let status = operated.run(&["status"]);
    assert!(status.contains("draining (1h") && status.contains("app1: state up → draining"), "{status}");
    let json: Value = serde_json::from_str(&operated.run(&["status", "--json"])).unwrap();
    assert_eq!(json["pools"][0]["backends"][0]["state"], "draining", "{json}");
    assert!(operated.run(&["maintain", "app/app1"]).contains("app/app1: maintenance"));
    assert!(operated.run(&["ready", "app/app1"]).contains("app/app1: up"));
    let unknown = operated.fail(&["ready", "app/none"]);
    assert!(unknown.contains("no backend `none`"), "{unknown}");
    assert_eq!(operated.command(&["ready", "app"]).output().unwrap().status.code(), Some(2), "usage");
}

#[tokio::test]
async fn a_drain_can_be_waited_for() {
    let apps = apps(2);
    let operated = Operated::start(&apps).await;
    let first = get(operated.address, "/", &[]);
    let home = format!("app/{}", first.server());
    let id = first.cookie("JSESSIONID").unwrap().split_once('=').unwrap().1.to_owned();
    assert_eq!(operated.run_with(&["sessions", "app", "--lookup"], &id).trim(), home);
    assert!(operated.run(&["sessions"]).lines().any(|line| line.starts_with(&home) && line.ends_with(" 1")));
    let mut waiting = operated.command(&["drain", &home, "--wait"]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("it drains", async || operated.run(&["status"]).contains("draining").then_some(())).await;
    assert!(waiting.try_wait().unwrap().is_none(), "its session is still there");
    assert_eq!(operated.run_with(&["sessions", "app", "--forget"], &id).trim(), "forgotten");
    assert_eq!(said(waiting.wait_with_output().unwrap(), 0).trim(), format!("{home}: drained"));
    assert!(!operated.steadfast.said().contains(&id), "no session id in the log");
}

#[tokio::test]
async fn a_reload_tells_what_it_changes_before_and_after() {
    let mut apps = apps(1);
    let operated = Operated::start(&apps).await;
    assert!(operated.run(&["reload", "--dry-run"]).contains("nothing"));
    apps.push(App::start("app2"));
    std::fs::write(operated.steadfast.file(), text(operated.address, &apps, "")).unwrap();
    let plan = operated.run(&["reload", "--dry-run"]);
    assert!(plan.contains("would change") && plan.contains("backend app2: added"), "{plan}");
    assert!(!operated.run(&["status"]).contains("app2"), "nothing was changed");
    assert!(operated.run(&["reload"]).contains("backend app2: added"));
    assert!(operated.run(&["status"]).contains("app/app2"));
    // The command reads the file, too, so the address is named here.
    let bad = text(operated.address, &apps, "    retires: { attempts: 1 }\n");
    std::fs::write(operated.steadfast.file(), bad).unwrap();
    let admin = format!("unix:{}", operated.folder().join("admin.sock").display());
    let refused = said(program(&operated.folder()).args(["reload", "--admin", &admin]).output().unwrap(), 1);
    assert!(refused.contains("retires") && refused.contains("did you mean `retries`"), "{refused}");
}

#[tokio::test]
async fn the_log_says_more_when_asked_to_but_never_pingoras_own_lines() {
    let apps = apps(1);
    let operated = Operated::start(&apps).await;
    assert_eq!(operated.run(&["log-level"]).trim(), "info");
    get(operated.address, "/", &[]);
    assert!(!operated.steadfast.said().contains("DEBUG"), "{}", operated.steadfast.said());
    assert_eq!(operated.run(&["log-level", "trace"]).trim(), "trace");
    eventually("requests are logged", async || {
        get(operated.address, "/", &[]);
        operated.steadfast.said().contains("DEBUG steadfast").then_some(())
    })
    .await;
    let log = operated.steadfast.said();
    let loud = log
        .lines()
        .find(|line| line.contains("pingora") && !line.contains("WARN") && !line.contains("ERROR"));
    assert_eq!(loud, None, "Pingora's lines show cookies");
    assert_eq!(operated.run(&["log-level", "warn"]).trim(), "warn");
    assert_eq!(operated.command(&["log-level", "loud"]).output().unwrap().status.code(), Some(2));
}

#[tokio::test]
async fn advise_and_top_say_what_they_can() {
    let apps = apps(1);
    let operated = Operated::start(&apps).await;
    let advice = operated.run(&["advise"]);
    assert!(
        advice.starts_with("Nothing to say") && advice.contains("Pool app: no session has come back"),
        "{advice}"
    );
    let json: Value = serde_json::from_str(&operated.run(&["advise", "--json"])).unwrap();
    assert_eq!(json["gaps"][0]["idle_s"], 1800, "{json}");
    let refused = operated.fail(&["top"]);
    assert!(refused.contains("no terminal") && refused.contains("steadfast status"), "{refused}");
    // In a terminal: `script` (of Debian's essential bsdutils) gives it one, and writes down what it draws.
    let screen = operated.folder().join("screen");
    let command =
        format!("stty rows 24 cols 100; exec {} top -c steadfast.yaml", env!("CARGO_BIN_EXE_steadfast"));
    let mut child = Command::new("script")
        .args(["-qefc", &command])
        .arg(&screen)
        .current_dir(operated.folder())
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the backend is on the screen", async || {
        let drawn = std::fs::read(&screen).unwrap_or_default();
        String::from_utf8_lossy(&drawn).contains("app/app1").then_some(())
    })
    .await;
    child.stdin.take().unwrap().write_all(b"q").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "q ends it");
}

#[tokio::test]
async fn explain_asks_the_running_balancer() {
    let apps = apps(3);
    let operated = Operated::start(&apps).await;
    let first = get(operated.address, "/", &[]);
    let cookie = format!("Cookie: {}", first.cookie("JSESSIONID").unwrap());
    let admin = format!("unix:{}", operated.folder().join("admin.sock").display());
    let ask = ["explain", "--admin", &admin, "GET", "/", "-H", &cookie];
    let text = said(program(&operated.folder()).args(ask).output().unwrap(), 0);
    assert!(text.contains(&format!("backend   {} (reason: learned)", first.server())), "{text}");
    let json = said(program(&operated.folder()).args(ask).arg("--json").output().unwrap(), 0);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["reason"], "learned");
    let of_the_file = operated.run(&["explain", "GET", "/", "-H", &cookie]);
    assert!(of_the_file.contains("reason: hash"), "the file knows no session: {of_the_file}");
    let what_if = format!("{}=down", first.server());
    let text = said(program(&operated.folder()).args(ask).args(["--if", &what_if]).output().unwrap(), 0);
    assert!(text.contains("reason: moved") && text.contains(" down (if)"), "{text}");
    assert!(text.contains(&format!("unusable: {} is down", first.server())), "{text}");
    let supposed =
        operated.run(&["explain", "GET", "/", "-H", &cookie, "--if", "app1=down", "--if", "app2=down"]);
    assert!(supposed.contains("backend   app3"), "of the file alone: {supposed}");
    let nonsense = ["explain", "GET", "/", "--if", "app1=gone"];
    assert_eq!(operated.command(&nonsense).output().unwrap().status.code(), Some(2));
    // Afterwards, too.
    let recent = operated.run(&["explain", "--request", "1"]);
    assert!(recent.starts_with("request 1: GET / at 20") && recent.contains("reason: new"), "{recent}");
    assert!(recent.contains("came to   started, status 200"), "{recent}");
    assert!(operated.fail(&["explain", "--request", "99"]).contains("no such request"));
}

#[tokio::test]
async fn commands_find_the_balancer_and_say_what_to_do_if_they_do_not() {
    let apps = apps(1);
    let (port, admin) = (Port::reserve(), Port::reserve());
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("admin.token");
    std::fs::write(&token, TOKEN).unwrap();
    let admin_lines =
        format!("admin: {{ listen: '{}', token_file: '{}' }}\n", admin.address(), token.display());
    let yaml = configuration(&apps, &format!("{SHARED}{admin_lines}"), "", "");
    let yaml = yaml.replace("127.0.0.1:0", &port.address().to_string());
    let steadfast = Steadfast::start(port, &yaml).await;
    let status = |arguments: &[&str], environment: &[(&str, &str)], code| {
        let mut command = program(folder.path());
        command.arg("status").args(arguments).envs(environment.iter().copied());
        said(command.output().unwrap(), code)
    };
    let (file, address) = (steadfast.file(), admin.address().to_string());
    assert!(status(&["-c", file.to_str().unwrap()], &[], 0).contains("ready"));
    let environment = [("STEADFAST_ADMIN", address.as_str()), ("STEADFAST_ADMIN_TOKEN", TOKEN)];
    assert!(status(&[], &environment, 0).contains("ready"));
    let no_token = status(&["--admin", &address], &[], 1);
    assert!(no_token.contains("STEADFAST_ADMIN_TOKEN"), "{no_token}");
    let wrong = [("STEADFAST_ADMIN_TOKEN", "wrong\r\nX: y")];
    assert!(status(&["--admin", &address], &wrong, 1).contains("is no token"));
    let nobody = Port::reserve().address().to_string();
    let help = status(&["--admin", &nobody], &[], 1);
    let expected =
        format!("nobody listens on {nobody}: is `admin:` configured, and is the balancer running?");
    assert_eq!(help.trim(), expected);
    assert!(status(&["--admin", "unix:none.sock"], &[], 1).contains("nobody listens on unix:none.sock"));
    assert!(status(&["--admin", "localhost"], &[], 1).contains("is no admin address"));
    let foreign = status(&["--admin", &apps[0].address.to_string()], &[], 1);
    assert!(foreign.contains("does not speak the admin API"), "{foreign}");
    assert!(!steadfast.said().contains("SECRET"), "no token in the log");
}

#[tokio::test]
async fn every_line_of_the_pages_for_operators_does_what_it_says() {
    let apps = apps(3);
    let operated = Operated::start(&apps).await;
    // One to ask about.
    get(operated.address, "/", &[]);
    let pages = ["docs/operations.md", "docs/seeing.md"]
        .map(|page| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap());
    let lines = pages.iter().flat_map(|page| page.lines()).filter_map(|line| line.strip_prefix("    "));
    let lines: Vec<_> = lines
        .filter(|line| ["steadfast ", "curl ", "echo "].iter().any(|word| line.starts_with(word)))
        .collect();
    assert!(lines.len() >= 20, "{lines:?}");
    let binaries = Path::new(env!("CARGO_BIN_EXE_steadfast")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let folder = operated.folder();
    // Its successor would not know the requests that other lines ask about.
    let (upgrade, others): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.starts_with("steadfast upgrade"));
    for line in others.into_iter().chain(upgrade) {
        if line.starts_with("steadfast top ") {
            continue; // It wants a terminal.
        }
        let line = line.replace("/etc/steadfast/", "").replace("/run/steadfast/", "");
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(&folder).env("PATH", &path);
        command.env_remove("STEADFAST_ADMIN").env_remove("STEADFAST_ADMIN_TOKEN");
        said(command.output().unwrap(), 0);
    }
}
