//! The kept corpus of the fuzz targets, and everything odd that other tests have.

use std::fs;
use std::path::Path;

use crate::desync::corpus;

#[path = "../../fuzz/targets.rs"]
mod targets;

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The contents of a folder's files.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(root(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn what_the_fuzzer_was_given_holds() {
    let all = [
        ("cookie", targets::cookie as fn(&[u8])),
        ("set_cookie", targets::set_cookie),
        ("token", targets::token),
        ("config", targets::config),
        ("head", targets::head),
        ("chunked", targets::chunked),
        ("route", targets::route),
        ("proxy_header", targets::proxy_header),
        ("first_bytes", targets::first_bytes),
        ("connection_id", targets::connection_id),
    ];
    for (name, target) in all {
        let kept = files(&format!("fuzz/corpus/{name}"));
        assert!(kept.len() >= 2, "{name} has a corpus");
        kept.iter().for_each(|data| target(data));
        assert!(root(&format!("fuzz/fuzz_targets/{name}.rs")).exists());
    }
    for file in [files("tests/data/bad"), files("conf")].concat() {
        targets::config(&file);
    }
    for case in corpus::read(&root("tests/data/http1")).unwrap() {
        targets::head(&case.bytes);
        let end = case.bytes.windows(4).position(|window| window == b"\r\n\r\n");
        targets::chunked(end.and_then(|end| case.bytes.get(end + 4..)).unwrap_or_default());
    }
}
