//! The file that says under which id the process runs.

use std::io;
use std::path::{Path, PathBuf};

/// A written process id file; removed at the end, unless another process has written it since.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// The folder does not exist, or must not be written to.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), text: put(path)? })
    }

    /// Writes it anew, after another process has; whoever wrote it first removes it.
    ///
    /// # Errors
    /// The folder does not exist, or must not be written to.
    pub(crate) fn rewrite(path: &Path) -> io::Result<()> {
        put(path).map(drop)
    }
}

fn put(path: &Path) -> io::Result<String> {
    let text = format!("{}\n", std::process::id());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, &text)?;
    std::fs::rename(&beside, path)?;
    Ok(text)
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if std::fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_goes_with_its_process_but_not_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steadfast.pid");
        let file = PidFile::write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
        let file = PidFile::write(&path).unwrap();
        std::fs::write(&path, "1\n").unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n", "a successor's");
        assert!(PidFile::write(Path::new("/nowhere/steadfast.pid")).is_err());
    }
}
