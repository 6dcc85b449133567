//! A real redis-server: killed, stalled and started again at will.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::eventually::eventually;
use super::ports::Port;

/// The password that the server asks for.
pub(crate) const PASSWORD: &str = "correct horse";

/// A redis-server that keeps nothing on disk; killed when dropped.
pub(crate) struct Engine {
    port: Port,
    folder: TempDir,
    child: Option<Child>,
}

impl Engine {
    /// Starts it and waits until it accepts connections.
    pub(crate) async fn start() -> Self {
        let mut engine = Self { port: Port::reserve(), folder: tempfile::tempdir().unwrap(), child: None };
        engine.restart().await;
        engine
    }

    /// Starts it again on its port, empty.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let port = self.port.address().port().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--requirepass", PASSWORD, "--dir"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: make e2e-deps");
        self.child = Some(child);
        let address = self.port.address();
        eventually("redis-server accepts connections", async || TcpStream::connect(address).await.ok()).await;
    }

    /// Kills it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It goes on accepting connections, and answers nothing.
    pub(crate) fn stall(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// It goes on answering.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Its URL, with the password.
    pub(crate) fn url(&self) -> String {
        format!("redis://:{}@{}/0", PASSWORD.replace(' ', "%20"), self.port.address())
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().expect("it runs").id();
        kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}
