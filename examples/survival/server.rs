//! One application server as the program handles it: started, killed, stopped for a while, told things.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use crate::contender::Failure;

/// An application server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    /// How often it was started.
    pub(crate) boot: u32,
    process: Child,
}

impl Server {
    pub(crate) fn start(id: &str) -> Result<Self, Failure> {
        let address = free_address()?;
        let process = launch(id, 1, address)?;
        Ok(Self { id: id.to_owned(), address, boot: 1, process })
    }

    /// Kills it with all its sessions.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts it again on its address, empty.
    pub(crate) fn start_again(&mut self) -> Result<(), Failure> {
        self.boot += 1;
        self.process = launch(&self.id, self.boot, self.address)?;
        Ok(())
    }

    /// The process stands still for a while.
    pub(crate) fn freeze(&self, time: Duration) -> Result<(), Failure> {
        let pid = Pid::from_raw(i32::try_from(self.process.id())?);
        kill(pid, Signal::SIGSTOP)?;
        thread::sleep(time);
        kill(pid, Signal::SIGCONT)?;
        Ok(())
    }

    /// Its health page fails for a while, and it serves on.
    pub(crate) fn fail_health(&self, time: Duration) -> Result<(), Failure> {
        self.control(&format!("fail?{}", time.as_millis()))
    }

    /// It leaves its address for another one, with all its sessions.
    pub(crate) fn change_address(&mut self) -> Result<(), Failure> {
        let address = free_address()?;
        self.control(&format!("move?{address}"))?;
        // Wakes the thread that accepts on the old address, so that it ends.
        let _ = TcpStream::connect(self.address);
        self.address = address;
        Ok(())
    }

    fn control(&self, what: &str) -> Result<(), Failure> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.write_all(format!("GET /control/{what} HTTP/1.1\r\nHost: control\r\n\r\n").as_bytes())?;
        let mut answer = [0; 1024];
        let read = connection.read(&mut answer)?;
        let text = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
        if text.starts_with("HTTP/1.1 200") && !text.contains("X-Moved: false") {
            Ok(())
        } else {
            Err(format!("{} did not do {what}: {text}", self.id).into())
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn launch(id: &str, boot: u32, address: SocketAddr) -> Result<Child, Failure> {
    let process = Command::new(std::env::current_exe()?)
        .args(["app", id, &boot.to_string(), &address.to_string()])
        .stdin(Stdio::null())
        .spawn()?;
    wait_for(address, id)?;
    Ok(process)
}

/// Waits until somebody accepts.
pub(crate) fn wait_for(address: SocketAddr, who: &str) -> Result<(), Failure> {
    for _ in 0..1000 {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(format!("{who} does not accept on {address}").into())
}

/// An address that the kernel chose, and that it gives to nobody else while this program runs: it stays bound,
/// without listening, beside whoever listens on it.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let address = socket.local_addr()?.as_socket().ok_or("no IP address")?;
    std::mem::forget(socket);
    Ok(address)
}
