//! The balancers that take part, each with as little configuration as it needs.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A balancer that runs; killed when dropped.
pub(crate) struct Contender {
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

/// Starts the balancer of this name before a backend.
///
/// # Errors
/// It is not installed or built, or does not start; the error says what to do.
pub(crate) fn start(name: &'static str, backend: SocketAddr) -> Result<Contender, String> {
    let said = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(said)?;
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(said)?;
    let write = |file: &str, text: String| -> Result<PathBuf, String> {
        let path = folder.path().join(file);
        std::fs::write(&path, text).map(|()| path).map_err(said)
    };
    let mut command = match name {
        "Steadfast" => {
            let mut command = Command::new(built("../steadfast")?);
            command.args(["run", "-c"]).arg(write("steadfast.yaml", steadfast(address, backend))?);
            command
        }
        "bare Pingora" => {
            let mut command = Command::new(built("bare_pingora")?);
            command.arg(address.to_string()).arg(backend.to_string());
            command
        }
        "HAProxy" => {
            let mut command = Command::new("/usr/sbin/haproxy");
            command.arg("-f").arg(write("haproxy.cfg", haproxy(address, backend))?);
            command
        }
        _ => {
            let file = write("nginx.conf", nginx(folder.path(), address, backend))?;
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-p").arg(folder.path()).arg("-c").arg(file);
            command
        }
    };
    let log = File::create(folder.path().join("log")).map_err(said)?;
    let child = command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(said)?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    let contender = Contender { address, child, _folder: folder };
    for _ in 0..1000 {
        if TcpStream::connect(address).is_ok() {
            return Ok(contender);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = std::fs::read_to_string(contender._folder.path().join("log")).unwrap_or_default();
    Err(format!("{name} does not accept connections:\n{log}"))
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that was built with this one.
fn built(name: &str) -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = this.parent().unwrap_or_else(|| Path::new(".")).join(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing: `make desync` builds it", path.display()))
    }
}

fn steadfast(address: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "version: 1\nstate_dir: state\nlisteners:\n  - name: web\n    address: {address}\n    timeouts: {{ head: 1s, body: 1s }}\n\
         \x20   routes: [ {{ pool: app }} ]\npools:\n  app:\n    backends: [ {{ id: one, address: \"{backend}\" }} ]\n"
    )
}

fn haproxy(address: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  timeout server 5s\n  timeout http-request 1s\n\
         frontend web\n  bind {address}\n  default_backend app\nbackend app\n  server one {backend}\n"
    )
}

fn nginx(folder: &Path, address: SocketAddr, backend: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n\
         events {{}}\n\
         http {{\n\
         access_log off; client_header_timeout 1s; client_body_timeout 1s;\n\
         client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         upstream app {{ server {backend}; keepalive 8; }}\n\
         server {{ listen {address}; location / {{\n\
         proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         }} }} }}\n"
    )
}
