//! A file that is written, replaced, turned and lost.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use steadfast::discovery::{Fault, FileSpec, OnEmpty, Source, Spec};

use super::{Watched, shown};
use crate::support::eventually::PATIENCE;

fn spec(path: &Path, on_empty: OnEmpty) -> Spec {
    Spec::File(FileSpec { path: path.to_owned(), refresh: Duration::from_millis(20), on_empty })
}

/// The next answer, good or not.
async fn next(source: &mut dyn Source) -> Result<Vec<String>, String> {
    let answer = tokio::time::timeout(PATIENCE, source.next()).await.expect("an answer in time");
    answer.map(|answer| shown(&answer.found)).map_err(|Fault(why)| why)
}

/// As a careful program writes: beside it, then in its place.
fn replace(path: &Path, content: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[tokio::test]
async fn a_file_is_followed_and_what_is_wrong_with_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backends");
    let mut source = spec(&path, OnEmpty::Keep).source();
    let source = source.as_mut();
    let missing = next(source).await.expect_err("there is no file yet");
    assert!(missing.contains("backends: cannot be read: "), "{missing}");
    fs::write(&path, "id=a 10.0.0.1:80\n").unwrap();
    assert_eq!(next(source).await, Ok(vec!["a 10.0.0.1:80 1".to_owned()]));
    replace(&path, "id=a 10.0.0.1:80\nid=b 10.0.0.2:80 weight=3\n");
    let both = Ok(vec!["a 10.0.0.1:80 1".to_owned(), "b 10.0.0.2:80 3".to_owned()]);
    assert_eq!(next(source).await, both, "replaced by a rename");
    replace(&path, "id=a 10.0.0.1:80\nid=b 10.0.0.2\n");
    let bad = next(source).await.expect_err("a bad line");
    assert!(bad.contains("backends: line 2: `10.0.0.2` is not an address; write"), "{bad}");
    assert_eq!(next(source).await, Err(bad), "and it stays bad");
    replace(&path, "id=a 10.0.0.1:80\nid=b 10.0.0.2:80 weight=3\n");
    assert_eq!(next(source).await, both, "what was taken before is an answer again");
    fs::remove_file(&path).unwrap();
    assert!(next(source).await.is_err(), "deleted");
    fs::create_dir(&path).unwrap();
    assert!(next(source).await.expect_err("a folder").contains("not a regular file"));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "# nothing here\n").unwrap();
    let empty = loop {
        match next(source).await.expect_err("no backend in it") {
            missing if missing.contains("cannot be read") => {}
            empty => break empty,
        }
    };
    assert!(empty.contains("no backend in it"), "{empty}");
    fs::write(&path, "x".repeat(2 << 20)).unwrap();
    let large = loop {
        match next(source).await.expect_err("too large") {
            empty if empty.contains("no backend") => {}
            large => break large,
        }
    };
    assert!(large.contains("larger than 1 MiB"), "{large}");
}

#[tokio::test]
async fn a_link_that_is_turned_as_kubernetes_turns_it_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, address) in [("..2026_01", "10.0.0.1:80"), ("..2026_02", "10.0.0.2:80")] {
        fs::create_dir(at(version)).unwrap();
        let list = format!("- {{ id: a, address: \"{address}\" }}\n");
        fs::write(at(version).join("backends.yaml"), list).unwrap();
    }
    symlink("..2026_01", at("..data")).unwrap();
    symlink("..data/backends.yaml", at("backends.yaml")).unwrap();
    let watched = Watched::start(vec![("app", spec(&at("backends.yaml"), OnEmpty::Keep).source())]);
    watched.until("app", &["a 10.0.0.1:80 1"]).await;
    symlink("..2026_02", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    fs::remove_dir_all(at("..2026_01")).unwrap();
    watched.until("app", &["a 10.0.0.2:80 1"]).await;
    assert_eq!(watched.told("app").len(), 2, "nothing in between");
}

#[tokio::test]
async fn an_empty_file_removes_all_only_where_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backends");
    fs::write(&path, "10.0.0.1:80\n").unwrap();
    let watched = Watched::start(vec![("app", spec(&path, OnEmpty::Remove).source())]);
    watched.until("app", &["10.0.0.1:80 10.0.0.1:80 1"]).await;
    fs::write(&path, "").unwrap();
    watched.until("app", &[]).await;
    fs::write(&path, "10.0.0.2:80\n").unwrap();
    watched.until("app", &["10.0.0.2:80 10.0.0.2:80 1"]).await;
    assert_eq!(watched.told("app").len(), 3);
}
