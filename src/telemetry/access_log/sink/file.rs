//! A log file: appended to, rotated by size, or opened anew when somebody has moved it away.
//!
//! Each batch of lines is one write to a file that is open for appending, so that two processes (before and after an upgrade)
//! may write to one file. Both may rotate it, too: whoever does holds the file's lock, and the other one sees that the name
//! leads elsewhere.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// When a file is rotated, and how many old ones are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// Bytes that a file has at most; one batch of lines more, at worst.
    pub size: u64,
    /// Old files that are kept: `NAME.1` is the youngest.
    pub keep: u32,
}

/// An open log file.
#[derive(Debug)]
pub(in crate::telemetry::access_log) struct LogFile {
    path: PathBuf,
    file: File,
    rotation: Option<Rotation>,
}

impl LogFile {
    pub(super) fn open(path: PathBuf, rotation: Option<Rotation>) -> io::Result<Self> {
        Ok(Self { file: open(&path)?, path, rotation })
    }

    /// Whoever has moved it away wants a new one.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Some(rotation) = self.rotation {
            self.rotate(&rotation, lines.len())?;
        }
        self.file.write_all(lines)
    }

    fn rotate(&mut self, rotation: &Rotation, more: usize) -> io::Result<()> {
        if !self.is_in_place() {
            self.reopen()?;
        }
        let size = self.file.metadata()?.len();
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        if size == 0 || size.saturating_add(more) <= rotation.size {
            return Ok(());
        }
        // The lock goes with the old file; the other process waits for it, and then finds a new one in place.
        self.file.lock()?;
        if self.is_in_place() {
            shift(&self.path, rotation.keep)?;
        }
        self.reopen()
    }

    /// Whether the name still leads to the file that is open.
    fn is_in_place(&self) -> bool {
        let same = |open: std::fs::Metadata, named: std::fs::Metadata| {
            (open.dev(), open.ino()) == (named.dev(), named.ino())
        };
        self.file.metadata().and_then(|open| Ok(same(open, self.path.metadata()?))).unwrap_or(false)
    }
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// Readable to the own group, which log collectors are put into.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// `NAME` becomes `NAME.1`, `NAME.1` becomes `NAME.2`, and so on; the oldest goes.
fn shift(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return std::fs::remove_file(path);
    }
    for number in (1..keep).rev() {
        let from = numbered(path, number);
        if from.exists() {
            std::fs::rename(from, numbered(path, number + 1))?;
        }
    }
    std::fs::rename(path, numbered(path, 1))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_file_is_rotated_by_size_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = LogFile::open(path.clone(), Some(Rotation { size: 20, keep: 2 })).unwrap();
        for n in 0..10 {
            log.write(format!("line {n} ...\n").as_bytes()).unwrap();
        }
        assert_eq!(read(&path), "line 9 ...\n");
        assert_eq!(
            (read(&numbered(&path, 1)), read(&numbered(&path, 2))),
            ("line 8 ...\n".into(), "line 7 ...\n".into())
        );
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn two_processes_may_write_and_rotate_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let rotation = Some(Rotation { size: 500, keep: 1000 });
        std::thread::scope(|scope| {
            for process in 0..2 {
                let path = path.clone();
                scope.spawn(move || {
                    let mut log = LogFile::open(path, rotation).unwrap();
                    (0..500).for_each(|n| log.write(format!("{process} {n}\n").as_bytes()).unwrap());
                });
            }
        });
        let mut lines: Vec<String> = (0..)
            .map(|number| if number == 0 { path.clone() } else { numbered(&path, number) })
            .take_while(|path| path.exists())
            .flat_map(|path| read(&path).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 1000, "no line is lost or torn");
    }

    #[test]
    fn who_moves_the_file_away_has_it_reopened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = LogFile::open(path.clone(), None).unwrap();
        log.write(b"one\n").unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        log.write(b"two\n").unwrap();
        log.reopen().unwrap();
        log.write(b"three\n").unwrap();
        assert_eq!(
            (read(&folder.path().join("moved")), read(&path)),
            ("one\ntwo\n".into(), "three\n".into())
        );
    }
}
