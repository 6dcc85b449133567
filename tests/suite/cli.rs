//! The command line: exit codes, and `explain` against what a running balancer does.

use std::process::{Command, Output};

use steadfast::affinity::{self, Circumstance, Evidence, RequestView, Verdict};
use steadfast::clock::Now;
use steadfast::snapshot::{Logs, Secrets, Snapshot};

use crate::support::balancer::{Balancer, SHARED, apps, checked, configuration};
use crate::support::exchange::get;

fn steadfast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_steadfast")).args(arguments).output().unwrap()
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.yaml"), folder.path().join("bad.yaml"));
    std::fs::write(&good, configuration(&apps(1), SHARED, "", "")).unwrap();
    std::fs::write(&bad, "version: 2\n").unwrap();
    let code = |arguments: &[&str]| steadfast(arguments).status.code();
    assert_eq!(code(&["check", "-c", good.to_str().unwrap()]), Some(0));
    assert_eq!(code(&["check", "-c", bad.to_str().unwrap()]), Some(1));
    assert_eq!(code(&["run", "-c", bad.to_str().unwrap()]), Some(1), "an error before start-up");
    assert_eq!(code(&["run", "-c", "absent.yaml"]), Some(1));
    assert_eq!(code(&["check"]), Some(2));
    assert_eq!(code(&["chekc"]), Some(2));
    assert_eq!(code(&["schema"]), Some(0));
    assert_eq!(code(&["completions", "bash"]), Some(0));
    assert_eq!(code(&["--help"]), Some(0));
}

#[test]
fn explain_names_the_backend_that_a_following_request_reaches() {
    let apps = apps(4);
    let pool = "    balance: { load_factor: 1000 }\n";
    let balancer = Balancer::start(&apps, SHARED, "", pool);
    let folder = tempfile::tempdir().unwrap();
    let text = configuration(&apps, SHARED, "", pool);
    let file = folder.path().join("steadfast.yaml");
    std::fs::write(&file, &text).unwrap();
    let checked = checked(&text, folder.path());
    let secrets = Secrets::open_without_writing(&checked).unwrap();
    let snapshot = Snapshot::compile(checked, &secrets, Logs::default(), None, Now::read());
    let pool = &snapshot.pools[0];
    for n in 0..1000_u32 {
        let agent = format!("User-Agent: agent {n}");
        let unknown = format!("Cookie: JSESSIONID=unknown{n}");
        let token = || {
            get(balancer.address, "/plain", &[&format!("User-Agent: other {n}")])
                .cookie("steadfast-")
                .unwrap()
        };
        let (path, cookie) = match n % 5 {
            0 => (format!("/plain?{n}"), None),
            1 => ("/plain".to_owned(), Some(unknown)),
            2 => (format!("/plain;jsessionid=path{n}"), None),
            3 => ("/plain".to_owned(), Some(format!("Cookie: {}", token()))),
            _ => ("/plain".to_owned(), Some(format!("Cookie: JSESSIONID=x{n}; {}", token()))),
        };
        let mut fields = vec![agent.as_str()];
        fields.extend(cookie.as_deref());
        let explained = if n % 40 == 0 {
            let url = format!("http://app.test{path}");
            let mut arguments = vec!["explain", "-c", file.to_str().unwrap(), "--json", "GET", &url];
            arguments.extend(fields.iter().flat_map(|field| ["-H", field]));
            let output = steadfast(&arguments);
            let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            answer["backend"].as_str().unwrap().to_owned()
        } else {
            let mut headers = http::HeaderMap::new();
            for field in ["Host: app.test"].iter().chain(&fields) {
                let (name, value) = field.split_once(": ").unwrap();
                headers.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
            }
            let request = RequestView {
                target: path.as_bytes(),
                headers: &headers,
                client: "127.0.0.1".parse().unwrap(),
                connection_choice: None,
                named_session: None,
            };
            let now = Now::read();
            let evidence = Evidence::read(&request, &pool.policy, &pool.pool, now);
            let at = Circumstance { now, draw: 0, held: false };
            match affinity::explain(&evidence, &pool.policy, &pool.pool, at).verdict {
                Verdict::To(decision) => pool.pool.backend(decision.backend).unwrap().id().to_string(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            get(balancer.address, &path, &fields).server(),
            explained,
            "request {n}: {path} {fields:?}"
        );
    }
}
