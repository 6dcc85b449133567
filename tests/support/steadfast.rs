//! The program under test as a child process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::eventually::eventually;
use super::ports::Port;

/// A running `steadfast run`, in a directory of its own; killed when dropped.
///
/// What it wrote to stderr is printed when the test that owns it fails.
pub(crate) struct Steadfast {
    child: Child,
    directory: TempDir,
    port: Port,
}

impl Steadfast {
    /// Starts the program with `configuration` (YAML) and waits until it accepts connections at `port`.
    pub(crate) async fn start(port: Port, configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("steadfast.yaml");
        fs::write(&file, configuration).unwrap();
        let stderr = File::create(directory.path().join("stderr")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_steadfast"))
            .args(["run", "-c"])
            .arg(&file)
            .current_dir(directory.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stderr.try_clone().unwrap())
            .stderr(stderr)
            .spawn()
            .unwrap();
        // From here on a panic drops `this`, which prints what the program said.
        let mut this = Self { child, directory, port };
        eventually("Steadfast accepts connections", async || {
            if let Some(status) = this.child.try_wait().unwrap() {
                panic!("Steadfast ended at once: {status}");
            }
            TcpStream::connect(this.port.address()).await.ok()
        })
        .await;
        this
    }

    /// Its configuration file, in the folder that it runs in.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("steadfast.yaml")
    }

    /// What it has logged.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.path().join("stderr")).unwrap_or_default())
            .into_owned()
    }

    /// Where it listens, as the beginning of a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }
}

impl Drop for Steadfast {
    fn drop(&mut self) {
        // With those that took over from it. Both fail only for processes that have ended, which is what is wanted.
        let _ = killpg(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = fs::read(self.directory.path().join("stderr")).unwrap_or_default();
            eprintln!("--- steadfast said:\n{}---", String::from_utf8_lossy(&said));
        }
    }
}
