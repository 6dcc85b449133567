//! Watches files by their content, so that links that are swapped and network drives work: a change counts once it has
//! settled.

use std::hash::Hasher as _;
use std::path::PathBuf;

use siphasher::sip::SipHasher24;

/// Looks that must see the same new content before it counts.
const SETTLED: u32 = 2;

/// Watches files, look by look.
#[derive(Debug, Default)]
pub(super) struct WatchedFiles {
    /// What was there when a change last counted; `None`: not looked yet.
    known: Option<u64>,
    /// Something else, and how many looks have seen it.
    new: Option<(u64, u32)>,
}

impl WatchedFiles {
    /// Looks at the files; gives whether a change has settled. Reads them: not for a thread that must not wait.
    pub(super) fn changed(&mut self, files: &[PathBuf]) -> bool {
        self.see(digest(files))
    }

    fn see(&mut self, found: u64) -> bool {
        let known = *self.known.get_or_insert(found);
        if found == known {
            self.new = None;
            return false;
        }
        let looks = match self.new {
            Some((new, looks)) if new == found => looks + 1,
            _ => 1,
        };
        self.new = Some((found, looks));
        if looks < SETTLED {
            return false;
        }
        (self.known, self.new) = (Some(found), None);
        true
    }
}

/// Of paths and contents; a file that cannot be read is a content of its own.
fn digest(files: &[PathBuf]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(b"steadfast files1");
    for file in files {
        hasher.write(file.as_os_str().as_encoded_bytes());
        match std::fs::read(file) {
            Ok(content) => {
                hasher.write_u8(1);
                hasher.write_usize(content.len());
                hasher.write(&content);
            }
            Err(_) => hasher.write_u8(0),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("a"), folder.path().join("b")];
        let mut watched = WatchedFiles::default();
        let write = |at: usize, text: &str| std::fs::write(&files[at], text).unwrap();
        write(0, "one");
        assert!(!watched.changed(&files), "the first look");
        write(0, "two");
        assert!(!watched.changed(&files), "perhaps half written");
        write(0, "three");
        assert!(!watched.changed(&files), "still being written");
        assert!(watched.changed(&files));
        assert!(!watched.changed(&files), "once");
        write(1, "");
        assert!(!watched.changed(&files) && watched.changed(&files), "a file that appears");
        write(0, "four");
        assert!(!watched.changed(&files));
        write(0, "three");
        assert!(!watched.changed(&files) && !watched.changed(&files), "taken back");
    }
}
