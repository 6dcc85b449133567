//! Bad files under load: the configuration before serves on, and each refusal says where the fault is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::seq::SliceRandom as _;
use steadfast::config;

use crate::support::balancer::apps;
use crate::support::load::Load;
use crate::support::program::{Program, text};

/// What `check` refuses; the others of these files have warnings only.
fn refused(path: &Path) -> Option<PathBuf> {
    config::load(path).is_err().then(|| path.to_owned())
}

#[test]
fn forty_bad_files_change_nothing_and_each_refusal_has_its_position() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bad");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut bad: Vec<_> = yaml.filter_map(|path| refused(&path)).collect();
    bad.shuffle(&mut rand::rng());
    assert!(bad.len() >= 40, "{}", bad.len());
    let apps = apps(3);
    let program = Program::start(&apps);
    let load = Load::with(program.address, 16, Duration::from_millis(20));
    for path in &bad[..40] {
        let bad = fs::read_to_string(path).unwrap();
        let log = program.reload(&bad, "configuration refused");
        let problems = config::load(&program.file()).unwrap_err();
        for problem in problems.iter() {
            let place = match problem.line {
                // The file as a whole: it is empty, say.
                0 => "steadfast.yaml".to_owned(),
                line => format!("steadfast.yaml:{line}:{}", problem.column),
            };
            assert!(log.contains(&place), "{}: no {place} in {log}", path.display());
        }
    }
    let log = program.reload(&text(program.address, &apps, ""), "configuration reloaded");
    assert!(log.contains("nothing has changed"), "bad files have left something behind: {log}");
    load.wait(100);
    load.end();
}
