//! Protocols through other people's clients: curl, nghttp2's, Python's gRPC, and testssl.sh.
//!
//! Needs what `make protocols-deps` installs, so every test is ignored unless asked for.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use support::balancer::{Balancer, SHARED, apps};
use support::ports::Port;
use support::tls::Authority;

#[cfg(test)]
#[expect(dead_code, reason = "some of it serves the suite only")]
mod support;

/// A listener with TLS for `localhost`.
fn listener(authority: &Authority) -> String {
    let site = authority.issue("site", &["localhost"], "site");
    format!("    tls: {{ certificates: [ {{ {site} }} ] }}\n")
}

/// Runs it to its end; a failure shows what it said.
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run make protocols-deps"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "needs curl"]
fn curl_keeps_its_session_in_either_version_of_http() {
    let (apps, authority) = (apps(3), Authority::new());
    let balancer = Balancer::start(&apps, SHARED, &listener(&authority), "");
    let ca = authority.path("ca.pem").display().to_string();
    let jar = authority.path("jar").display().to_string();
    let url = format!("https://localhost:{}/", balancer.address.port());
    let mut servers = BTreeSet::new();
    for version in ["--http1.1", "--http2", "--http1.1", "--http2"] {
        let arguments =
            ["-sS", version, "--cacert", &ca, "-b", &jar, "-c", &jar, "-w", "\n%{http_version}", &url];
        let text = said(&run("curl", &arguments));
        assert!(text.ends_with(if version == "--http2" { "\n2" } else { "\n1.1" }), "{text}");
        servers.insert(text.split(' ').next().unwrap().to_owned());
    }
    assert_eq!(servers.len(), 1, "{servers:?}");
    let cookies = std::fs::read_to_string(authority.path("jar")).unwrap();
    let ours = cookies.lines().find(|line| line.contains("steadfast-")).unwrap();
    assert_eq!(ours.split('\t').nth(3), Some("TRUE"), "the cookie is Secure: {ours}");
    // A body for which curl first asks for a 100 (Continue).
    let large = authority.path("large").display().to_string();
    std::fs::write(&large, vec![b'x'; 2_000_000]).unwrap();
    for version in ["--http1.1", "--http2"] {
        let upload = format!("{url}plain");
        let arguments = [
            "-sS",
            version,
            "--cacert",
            &ca,
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            &format!("@{large}"),
            &upload,
        ];
        let text = said(&run("curl", &arguments));
        assert!(text.contains("body=2"), "{version}: {text}");
    }
}

#[test]
#[ignore = "needs nghttp2-client"]
fn nghttp_and_h2load_get_all_of_their_answers() {
    let (apps, authority) = (apps(2), Authority::new());
    let balancer = Balancer::start(&apps, SHARED, &listener(&authority), "");
    let url = format!("https://localhost:{}/plain", balancer.address.port());
    let text = said(&run("nghttp", &["-ns", "-m4", &url]));
    assert_eq!(text.lines().filter(|line| line.contains(" 200 ")).count(), 4, "{text}");
    let text = said(&run("h2load", &["-n", "3000", "-c", "4", "-m", "25", &url]));
    assert!(text.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
    assert_eq!(apps.iter().map(|app| app.requests()).sum::<u64>(), 3004);
}

/// A server and a client by the same file: messages both ways, a status, and an error of ours.
const GRPC: &str = r#"
import sys, grpc
from concurrent import futures

def raw(value):
    return value

def echo(messages, context):
    for message in messages:
        yield b"got " + message
    context.set_trailing_metadata((("x-trailer", "the end"),))

def refuse(message, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")

if sys.argv[1] == "serve":
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {
        "Stream": grpc.stream_stream_rpc_method_handler(echo, raw, raw),
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse, raw, raw),
    }),))
    assert server.add_insecure_port("127.0.0.1:" + sys.argv[2]) > 0
    server.start()
    print("serving", flush=True)
    server.wait_for_termination()

credentials = grpc.ssl_channel_credentials(open(sys.argv[3], "rb").read())
with grpc.secure_channel("localhost:" + sys.argv[2], credentials) as channel:
    stream = channel.stream_stream("/test.Echo/Stream", raw, raw)
    call = stream(iter([b"one", b"two", b"x" * 100000]), timeout=60)
    answers = list(call)
    assert [len(answer) for answer in answers] == [7, 7, 100004], answers
    assert ("x-trailer", "the end") in [tuple(it) for it in call.trailing_metadata()], call.trailing_metadata()
    for method, code, detail in [
        ("/test.Echo/Refuse", grpc.StatusCode.FAILED_PRECONDITION, "not now"),
        ("/test.Echo/Nothing", grpc.StatusCode.UNIMPLEMENTED, ""),
        ("/gone.Echo/Any", grpc.StatusCode.UNAVAILABLE, "50"),
    ]:
        try:
            channel.unary_unary(method, raw, raw)(b"x", timeout=60)
        except grpc.RpcError as error:
            assert error.code() == code and detail in error.details(), (method, error)
        else:
            raise AssertionError(method)
print("all well")
"#;

#[test]
#[ignore = "needs Python's grpcio in target/grpc"]
fn python_speaks_grpc_through_it() {
    const PYTHON: &str = "target/grpc/bin/python";
    let authority = Authority::new();
    let (port, gone) = (Port::reserve(), Port::reserve());
    let (address, nobody) = (port.address(), gone.address());
    let script = authority.path("echo.py").display().to_string();
    std::fs::write(&script, GRPC).unwrap();
    let number = address.port().to_string();
    let mut server =
        Command::new(PYTHON).args([&script, "serve", &number]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(server.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "serving\n", "run make protocols-deps");
    let balancer = Balancer::configured(&format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: web\n    address: 127.0.0.1:0\n{}\
         \x20   routes:\n      - match: {{ path: {{ prefix: /gone.Echo }} }}\n        pool: gone\n      - pool: app\n\
         pools:\n  app:\n    backends: [ {{ id: a, address: \"{address}\" }} ]\n    http: {{ version: h2 }}\n\
         \x20 gone:\n    backends: [ {{ id: a, address: \"{nobody}\" }} ]\n    http: {{ version: h2 }}\n",
        listener(&authority)
    ));
    let ca = authority.path("ca.pem").display().to_string();
    let number = balancer.address.port().to_string();
    let output = Command::new(PYTHON).args([&script, "ask", &number, &ca]).output();
    let _ = server.kill();
    let _ = server.wait();
    let output = output.unwrap();
    assert!(said(&output).contains("all well"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs testssl.sh, and takes two minutes"]
fn testssl_finds_nothing_worse_than_low() {
    let (apps, authority) = (apps(1), Authority::new());
    let balancer = Balancer::start(&apps, SHARED, &listener(&authority), "");
    let (ca, found) = (authority.path("ca.pem"), authority.path("found.json"));
    let target = format!("localhost:{}", balancer.address.port());
    let (ca, file) = (ca.display().to_string(), found.display().to_string());
    let arguments =
        ["--quiet", "--color", "0", "--warnings", "batch", "--add-ca", &ca, "--jsonfile", &file, &target];
    let output = Command::new("testssl").args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("testssl: {error}; run make protocols-deps"));
    let text = std::fs::read_to_string(&found).unwrap_or_else(|_| panic!("{}", said(&output)));
    let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
    let field = |finding: &serde_json::Value, name: &str| finding[name].as_str().unwrap_or("").to_owned();
    let findings = findings.as_array().unwrap();
    assert!(findings.len() > 100, "only {} findings", findings.len());
    let bad: Vec<_> = findings
        .iter()
        .filter(|finding| ["MEDIUM", "HIGH", "CRITICAL"].contains(&field(finding, "severity").as_str()))
        // Certificates of a test never end, and nobody can be asked whether they were revoked.
        .filter(|finding| {
            !["cert_revocation", "cert_validityPeriod"].contains(&field(finding, "id").as_str())
        })
        .map(|finding| format!("{}: {}", field(finding, "id"), field(finding, "finding")))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
