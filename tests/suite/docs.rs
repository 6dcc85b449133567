//! What the documents say is true: commands exist, files exist, and the demonstration does what its page says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::ports::Port;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The `make` targets and `steadfast` commands in the code of a document.
fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with("make ") || line.starts_with("steadfast "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_in_the_documents_exists() {
    let makefile = read("Makefile");
    let mut seen = 0;
    for document in [
        "README.md",
        "docs/architecture.md",
        "docs/decisions.md",
        "docs/hooks.md",
        "docs/operations.md",
        "docs/tls.md",
        "docs/http2.md",
        "docs/seeing.md",
    ] {
        for command in commands(&read(document)) {
            seen += 1;
            let words: Vec<_> = command.split_whitespace().collect();
            if words[0] == "make" {
                assert!(makefile.contains(&format!("\n{}:", words[1])), "{document}: {command}");
            } else {
                let help = Command::new(env!("CARGO_BIN_EXE_steadfast"))
                    .args([words[1], "--help"])
                    .output()
                    .unwrap();
                assert!(help.status.success(), "{document}: {command}");
            }
        }
    }
    assert!(seen > 5, "the documents name commands");
}

#[test]
fn the_demonstration_does_what_its_page_says() {
    let port = Port::reserve();
    let number = port.address().port().to_string();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_steadfast"))
        .args(["demo", "--port", &number])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let page: Vec<String> = lines.take_while(|line| !line.starts_with("Stop the demonstration")).collect();
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        // The page is printed a moment before the doors open.
        let line = line.trim().replace("curl -s", "curl -s --retry 20 --retry-delay 1 --retry-connrefused");
        let output = Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let answers: Vec<String> = page
        .iter()
        .filter(|line| line.trim().starts_with("curl") || line.trim().starts_with("for "))
        .map(|line| run(line))
        .collect();
    let _ = demo.kill();
    let _ = demo.wait();
    let server = |answer: &str| answer.split(':').next().unwrap().to_owned();
    let home = server(&answers[0]);
    for (n, answer) in answers.iter().enumerate().take(6) {
        assert_eq!(server(answer), home, "step {n}: {answers:?}");
        assert!(!answer.contains("did not know"), "{answers:?}");
    }
    assert!(answers[2].contains("request 3") && answers[4].contains("request 5"), "{answers:?}");
    assert_eq!(server(&answers[7]), server(&answers[9]), "no second move: {answers:?}");
    let visited: std::collections::BTreeSet<_> = answers[10].lines().map(server).collect();
    assert!(visited.len() >= 2, "{answers:?}");
}
