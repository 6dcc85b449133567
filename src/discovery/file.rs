//! A file that names backends, looked at again and again.
//!
//! What counts is the content, so that a rename, a symbolic link that is turned (as Kubernetes does with a ConfigMap) and a
//! file on a network are all seen. A content is taken when two looks in a row see the same: a half-written
//! file is seen once at most.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::found::{Answer, Fault, Found, MAX_FOUND};
use super::source::Source;
use super::spec::{Emptiness, OnEmpty};
use super::{lines, yaml};

/// A file that names backends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSpec {
    /// Where it is. `.yaml` or `.yml`: a YAML list; else one backend on each line.
    pub path: PathBuf,
    /// From one look to the next.
    pub refresh: Duration,
    /// What a file without backends means.
    pub on_empty: OnEmpty,
}

/// The largest file that is read: room for [`MAX_FOUND`] long lines.
const MAX_BYTES: u64 = 1 << 20;

/// Before the first answer nobody can be lost, and requests wait.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Looks at a file.
#[derive(Debug)]
pub(super) struct FileSource {
    spec: FileSpec,
    /// What the last look saw.
    seen: Option<Vec<u8>>,
    /// What was taken last.
    taken: Option<Vec<u8>>,
    emptiness: Emptiness,
    /// Whether the last answer was a fault: then even what was taken before is an answer again.
    troubled: bool,
    /// Whether there was a look already.
    begun: bool,
}

impl FileSource {
    pub(super) fn new(spec: FileSpec) -> Self {
        Self { spec, seen: None, taken: None, emptiness: Emptiness::default(), troubled: false, begun: false }
    }

    /// The file's content, if it is the same as at the last look, and news.
    async fn look(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.spec.path.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
        let content = read.map_err(|error| {
            self.seen = None;
            self.fault(&format!("cannot be read: {error}"))
        })?;
        let settled = self.seen.as_ref() == Some(&content);
        self.seen = Some(content.clone());
        let news = self.troubled || self.taken.as_ref() != Some(&content);
        Ok((settled && news).then_some(content))
    }

    fn fault(&self, why: &str) -> Fault {
        Fault(format!("{}: {why}", self.spec.path.display()))
    }

    /// What the content says, if it says anything that holds.
    fn take(&mut self, content: Vec<u8>) -> Result<Answer, Fault> {
        let found = parse(&self.spec.path, &content).map_err(|Fault(why)| self.fault(&why))?;
        if found.is_empty() {
            if !self.emptiness.seen(self.spec.on_empty) {
                return Err(self.fault("no backend in it"));
            }
        } else {
            self.emptiness.over();
        }
        self.taken = Some(content);
        Ok(found.into())
    }
}

#[async_trait]
impl Source for FileSource {
    async fn next(&mut self) -> Result<Answer, Fault> {
        loop {
            if self.begun {
                let first = self.taken.is_none();
                let pause = if first { self.spec.refresh.min(FIRST_PAUSE) } else { self.spec.refresh };
                tokio::time::sleep(pause).await;
            }
            self.begun = true;
            let answer = match self.look().await {
                Ok(None) => continue,
                Ok(Some(content)) => self.take(content),
                Err(fault) => Err(fault),
            };
            self.troubled = answer.is_err();
            return answer;
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe or device could hold the thread for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut content = Vec::new();
    let length = File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if length as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(content)
}

/// The backends that a file names.
fn parse(path: &Path, content: &[u8]) -> Result<Vec<Found>, Fault> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let line = 1 + content.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        Fault(format!("line {line}: not UTF-8 text"))
    })?;
    // A byte order mark is no part of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_yaml = path.extension().is_some_and(|suffix| suffix == "yaml" || suffix == "yml");
    let found = if is_yaml { yaml::parse(text)? } else { lines::parse(text)? };
    if found.len() > MAX_FOUND {
        return Err(Fault(format!("{} backends, more than the {MAX_FOUND} that are taken", found.len())));
    }
    let mut first = HashMap::new();
    for (line, backend) in &found {
        if let Some(earlier) = first.insert(&backend.id, line) {
            let id = &backend.id;
            return Err(Fault(format!("line {line}: id `{id}` is there twice, first on line {earlier}")));
        }
    }
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_half_written_file_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backends");
        let spec = FileSpec { path: path.clone(), refresh: Duration::from_secs(2), on_empty: OnEmpty::Keep };
        let mut source = FileSource::new(spec);
        let (half, whole) = ("10.0.0.1:80\n10.0.0.2:8", "10.0.0.1:80\n10.0.0.2:8080\n");
        std::fs::write(&path, half).expect("written");
        assert_eq!(source.look().await, Ok(None), "seen once");
        std::fs::write(&path, whole).expect("written");
        assert_eq!(source.look().await, Ok(None), "seen once, and another one");
        assert_eq!(source.look().await, Ok(Some(whole.into())), "seen twice");
        std::fs::remove_file(&path).expect("removed");
        assert!(source.look().await.is_err());
        std::fs::write(&path, half).expect("written");
        assert_eq!(source.look().await, Ok(None), "what was seen before it was gone does not count");
    }

    #[test]
    fn the_suffix_says_how_a_file_is_read() {
        let line = b"id=a 10.0.0.1:80\n";
        let list = b"- { id: a, address: 10.0.0.1:80 }\n";
        let read = |name: &str, content: &[u8]| parse(Path::new(name), content);
        let expected = read("backends", line).expect("lines");
        assert_eq!(expected.len(), 1);
        for (name, content) in
            [("backends.yaml", &list[..]), ("backends.yml", &list[..]), ("backends.txt", &line[..])]
        {
            assert_eq!(read(name, content).as_ref(), Ok(&expected), "{name}");
        }
        assert!(read("backends.yaml", line).is_err() && read("backends", list).is_err());
        let marked = [&[0xef, 0xbb, 0xbf][..], line].concat();
        assert_eq!(read("backends", &marked), Ok(expected));
    }

    #[test]
    fn a_content_is_bounded_and_its_ids_differ() {
        let fault = |content: &[u8]| parse(Path::new("backends"), content).expect_err("bad").0;
        assert_eq!(
            fault(b"id=a 10.0.0.1:80\n\nid=a 10.0.0.2:80\n"),
            "line 3: id `a` is there twice, first on line 1"
        );
        assert_eq!(fault(b"10.0.0.1:80\n\xff"), "line 2: not UTF-8 text");
        let many: String = (0..=MAX_FOUND).map(|n| format!("10.0.{}.{}:80\n", n / 256, n % 256)).collect();
        assert!(fault(many.as_bytes()).contains("more than the 4096"));
    }
}
