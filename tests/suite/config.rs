//! Configuration files, good and bad: what an operator reads when a file is wrong is kept beside the file.
//!
//! `UPDATE_EXPECTED=1 cargo test` rewrites what is expected; read the difference before it is committed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use steadfast::config::{self, Checked, Severity};

const BAD: &str = "tests/data/bad";

fn environment(name: &str) -> Option<String> {
    match name {
        "APP1_ADDRESS" => Some("10.0.0.11:8080".to_owned()),
        "STEADFAST_KEY_A" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
        "STEADFAST_KEY_B" => {
            Some("202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f".to_owned())
        }
        "STEADFAST_SEED" => Some("a seed of more than sixteen bytes".to_owned()),
        "SHORT_KEY" => Some("AAECAw==".to_owned()),
        "EVIL" => Some("x }, state: draining # \n".to_owned()),
        _ => None,
    }
}

fn updating() -> bool {
    std::env::var_os("UPDATE_EXPECTED").is_some()
}

fn files(folder: &str, extension: &str) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("the entry can be read").path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn load(path: &str) -> Checked {
    config::load_with(Path::new(path), &environment).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Compares with what is kept in a file, or rewrites it.
fn expect(path: &Path, found: &str) -> Result<(), String> {
    if updating() {
        fs::write(path, found).expect("the file can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == found {
        return Ok(());
    }
    Err(format!("{} differs\n--- expected\n{expected}\n--- found\n{found}", path.display()))
}

#[test]
fn every_bad_file_is_explained() {
    let yamls = files(BAD, "yaml");
    assert!(yamls.len() >= 45, "only {} bad files", yamls.len());
    let mut differences = Vec::new();
    for path in &yamls {
        let found = match config::load_with(path, &environment) {
            Ok(checked) => checked.warnings.iter().map(|problem| format!("{problem}\n")).collect(),
            Err(problems) => format!("{problems}\n"),
        };
        assert!(!found.is_empty(), "{} is not bad", path.display());
        let found = found.replace(&format!("{BAD}/"), "");
        differences.extend(expect(&path.with_extension("expected"), &found).err());
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let expected: BTreeSet<_> = yamls.iter().map(|path| path.with_extension("expected")).collect();
    assert_eq!(files(BAD, "expected"), expected, "each .expected belongs to a .yaml, and the reverse");
}

#[test]
fn problems_point_into_the_line_that_they_show() {
    for path in files(BAD, "yaml") {
        let text = fs::read_to_string(&path).expect("the file can be read");
        let Err(problems) = config::load_with(&path, &environment) else { continue };
        for problem in &problems {
            if problem.line == 0 {
                continue;
            }
            let line = text.lines().nth(problem.line - 1).unwrap_or_default();
            let shown = problem.source.trim_end_matches('…');
            assert!(line.starts_with(shown), "{problem}");
            assert!(problem.column <= line.chars().count() + 1, "{problem}");
        }
    }
}

#[test]
fn no_secret_reaches_a_message() {
    let text = fs::read_to_string(format!("{BAD}/key_secrets.yaml")).expect("the file can be read");
    let problems = config::parse(&text, Path::new("x.yaml")).expect_err("the file is bad");
    assert!(problems.iter().count() >= 3);
    assert!(!problems.to_string().contains("SECRET"), "{problems}");
    assert!(!format!("{problems:?}").contains("SECRET"), "{problems:?}");
    for name in ["shared", "shared_alone"] {
        let text = fs::read_to_string(format!("{BAD}/{name}.yaml")).expect("the file can be read");
        let found = match config::parse(&text, Path::new("x.yaml")) {
            Ok(checked) => format!("{checked:?}"),
            Err(problems) => format!("{problems}{problems:?}"),
        };
        assert!(found.contains("shared") && !found.contains("SECRET"), "{found}");
    }
}

#[test]
fn no_damage_to_a_file_panics_or_shows_a_secret() {
    let full = fs::read_to_string("conf/full.yaml").expect("the file can be read");
    let secret = "UxYzSECRET0123456789SECRETabcdefSECRET01234";
    let short = format!(
        "version: 1\nkeys: [{{ id: a, value: {secret} }}]\naffinity_seed:\n  value: {secret}\nlisteners: [{{ name: web, \
         address: 127.0.0.1:0 }}]\npools:\n  app:\n    affinity:\n      learn: {{ shared: {{ url: \"redis://:{secret}@cache\" }} }}\n"
    );
    for (text, step) in [(full, 29), (short, 1)] {
        for (at, _) in text.char_indices().step_by(step) {
            let mut cut = text.clone();
            cut.remove(at);
            for damaged in [&text[..at], &cut] {
                if let Err(problems) = config::parse_with(damaged, Path::new("x.yaml"), &environment) {
                    assert!(!problems.to_string().contains("SECRET"), "{damaged}\n{problems}");
                }
            }
        }
    }
}

#[test]
fn examples_are_without_errors_and_warnings() {
    for path in files("conf", "yaml") {
        let checked = load(path.to_str().expect("a name in UTF-8"));
        let warnings: Vec<_> = checked.warnings.iter().filter(|p| p.severity != Severity::Note).collect();
        assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
    }
}

#[test]
fn the_full_example_says_the_defaults() {
    let (minimal, full) = (load("conf/minimal.yaml"), load("conf/full.yaml"));
    assert_eq!(format!("{:?}", minimal.server), format!("{:?}", full.server));
    assert_eq!(minimal.state_dir, full.state_dir);
    assert_eq!(format!("{:?}", minimal.listeners), format!("{:?}", full.listeners));
    assert_eq!(format!("{:?}", minimal.pools), format!("{:?}", full.pools));
}

#[test]
fn the_full_example_has_every_key_with_its_default() {
    let text = fs::read_to_string("conf/full.yaml").expect("the file can be read");
    // Commented keys count: of two that exclude each other, only one can be there.
    let said: BTreeSet<&str> = text
        .split(['\n', '{', ',', '['])
        .filter_map(|part| {
            part.trim_start_matches([' ', '#', '-']).split_once(':').map(|(key, _)| key.trim())
        })
        .collect();
    let mut keys = BTreeSet::new();
    collect_keys(&config::schema(), &mut keys);
    let missing: Vec<_> = keys.iter().filter(|key| !said.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "conf/full.yaml lacks {missing:?}");
}

fn collect_keys(schema: &Json, keys: &mut BTreeSet<String>) {
    match schema {
        Json::Object(object) => {
            if let Some(properties) = object.get("properties").and_then(Json::as_object) {
                keys.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| collect_keys(value, keys));
        }
        Json::Array(items) => items.iter().for_each(|value| collect_keys(value, keys)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let difference = expect(Path::new("docs/configuration.md"), &config::reference());
    assert!(difference.is_ok(), "run with UPDATE_EXPECTED=1: {difference:?}");
}

#[test]
fn replicas_share_their_secrets() {
    let checked = load("conf/replicas.yaml");
    let ids: Vec<_> = checked.keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["2026-07", "2026-01"], "the first key seals");
    assert!(checked.keys.iter().all(|key| key.secret.0.len() == 32));
    assert!(checked.affinity_seed.is_some());
    assert!(checked.warnings.is_empty(), "nothing is left to each replica: {:?}", checked.warnings);
}

#[test]
fn values_arrive_as_they_were_written() {
    let checked = load("conf/tomcat.yaml");
    let config::checked::Action::Pool(pool) = checked.listeners[0].routes[0].action else { panic!("a pool") };
    let pool = &checked.pools[pool];
    assert_eq!(pool.backends.len(), 3);
    assert_eq!(pool.affinity.application_cookies, ["JSESSIONID"]);
    assert_eq!(pool.affinity.path_parameter.as_deref(), Some("jsessionid"));
    let Some(config::checked::Check::Http(check)) = &pool.health.check else { panic!("an HTTP check") };
    assert_eq!(check.expect, [(200, 399)]);
}

#[test]
fn variables_never_change_the_structure() {
    let text = "version: 1\nlisteners: [{ name: web, address: 127.0.0.1:0, routes: [{ pool: app }] }]\npools:\n  \
                app:\n    backends: [{ id: a, address: \"${APP1_ADDRESS}\" }]\n    health: { http: { path: \
                \"/${EVIL}\" } }\n";
    let problems = config::parse_with(text, Path::new("x.yaml"), &environment).expect_err("a bad path");
    let errors: Vec<_> = problems.iter().filter(|p| p.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{problems}");
    assert!(errors[0].message.contains("`/${EVIL}`"), "the value itself is not shown: {problems}");
}

#[test]
fn a_file_that_is_not_there_or_too_large_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none.yaml");
    let problems = config::load(&path).expect_err("no file");
    assert!(problems.to_string().contains("none.yaml: error: the file cannot be read"), "{problems}");
    let large = folder.path().join("large.yaml");
    fs::write(&large, "# ".repeat(3 << 20)).expect("written");
    assert!(config::load(&large).expect_err("too large").to_string().contains("larger than 4 MiB"));
    fs::write(&large, [0xff, 0xfe]).expect("written");
    assert!(config::load(&large).expect_err("no text").to_string().contains("not UTF-8"));
}

#[cfg(unix)]
#[test]
fn a_key_file_that_everybody_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let (key, file) = (folder.path().join("token.key"), folder.path().join("site.yaml"));
    fs::write(&key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").expect("written");
    let minimal = fs::read_to_string("conf/minimal.yaml").expect("the file can be read");
    fs::write(&file, format!("{minimal}\nkeys: [{{ id: a, file: token.key }}]\n")).expect("written");
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("set");
        let checked = config::load(&file).expect("no error");
        let found = checked.warnings.iter().any(|problem| problem.message.contains("read by everybody"));
        assert_eq!(found, warned, "{mode:o}");
        assert_eq!(checked.keys.len(), 1, "the path starts at the configuration file's folder");
    }
}

#[cfg(unix)]
#[test]
fn an_admin_token_is_long_and_one_word_and_never_shown() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let (token, file) = (folder.path().join("admin.token"), folder.path().join("site.yaml"));
    let minimal = fs::read_to_string("conf/minimal.yaml").expect("the file can be read");
    let admin = "admin: { listen: 0.0.0.0:9900, token_file: admin.token }";
    fs::write(&file, format!("{minimal}\n{admin}\n")).expect("written");
    let try_with = |text: &str| {
        fs::write(&token, text).expect("written");
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("set");
        config::load(&file).map_err(|problems| problems.to_string())
    };
    let short = try_with("0123456789SECRET0123456789abcde\n").expect_err("31 characters");
    assert!(short.contains("too short: 31 characters") && !short.contains("SECRET"), "{short}");
    let words = try_with("two words of SECRET text that are long enough").expect_err("two words");
    assert!(words.contains("visible ASCII") && !words.contains("SECRET"), "{words}");
    let good = try_with("0123456789SECRET0123456789abcdef\n").expect("32 characters");
    assert!(!format!("{good:?}").contains("SECRET"));
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("set");
    let warned = config::load(&file).expect("no error").warnings;
    assert!(warned.iter().any(|problem| problem.message.contains("read by everybody")), "{warned:?}");
}
