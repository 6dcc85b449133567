//! The proxies, each in the configuration that its documentation has for TCP and UDP.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::bench_support::{Failure, Proxy, beside, free_address};
use super::work::{descriptors, idle_connections};

/// Steadfast first, and with NGINX for UDP, too; HAProxy twice, as `splice` is off there unless asked for.
pub(crate) fn contenders(backend: SocketAddr) -> Result<Vec<Proxy>, Failure> {
    Ok(vec![
        steadfast(backend)?,
        haproxy("HAProxy", "", backend)?,
        haproxy("HAProxy splice", "    option splice-auto\n", backend)?,
        nginx(backend)?,
    ])
}

fn steadfast(backend: SocketAddr) -> Result<Proxy, Failure> {
    let address = free_address()?;
    let (folder, file) = written(&format!(
        "version: 1\nserver: {{ threads: 1 }}\nstate_dir: state\n\
         listeners:\n  - {{ name: tcp, protocol: tcp, address: \"{address}\", pool: app }}\n\
         \x20 - {{ name: udp, protocol: udp, address: \"{address}\", pool: app, udp: {{ idle: 2s, unproven: 2s }} }}\n\
         pools:\n  app:\n    backends: [ {{ id: app1, address: \"{backend}\" }} ]\n    health: {{ tcp: true }}\n"
    ))?;
    Proxy::start("Steadfast", address, beside("../steadfast")?, vec!["run".into(), "-c".into(), file], folder)
}

fn haproxy(name: &'static str, option: &str, backend: SocketAddr) -> Result<Proxy, Failure> {
    let address = free_address()?;
    let connections = idle_connections() + 100;
    let (folder, file) = written(&format!(
        "global\n    nbthread 1\n    maxconn {connections}\n    maxpipes 40\ndefaults\n    mode tcp\n{option}    timeout connect 5s\n\
         \x20   timeout client 1h\n    timeout server 1h\nlisten tcp\n    bind {address}\n    balance source\n\
         \x20   hash-type consistent\n    server app1 {backend} check\n"
    ))?;
    Proxy::start(name, address, "/usr/sbin/haproxy".into(), vec!["-db".into(), "-f".into(), file], folder)
}

fn nginx(backend: SocketAddr) -> Result<Proxy, Failure> {
    let (address, descriptors) = (free_address()?, descriptors());
    let (folder, file) = written(&format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nmaster_process off;\n\
         worker_rlimit_nofile {descriptors};\nerror_log stderr crit;\npid nginx.pid;\nevents {{ worker_connections 60000; }}\n\
         stream {{\n  upstream app {{ hash $remote_addr consistent; server {backend}; }}\n\
         \x20 server {{ listen {address} backlog=4096; proxy_pass app; proxy_timeout 1h; }}\n\
         \x20 server {{ listen {address} udp; proxy_pass app; proxy_timeout 2s; }}\n}}\n"
    ))?;
    // It removes its pid file at its end, whatever that is: it needs one of its own.
    let prefix = folder.path().display().to_string();
    let arguments = vec!["-p".into(), prefix, "-c".into(), file];
    Proxy::start("NGINX stream", address, "/usr/sbin/nginx".into(), arguments, folder)
}

/// A configuration in a folder of its own.
fn written(text: &str) -> Result<(TempDir, String), Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("configuration.yaml");
    std::fs::write(&file, text)?;
    Ok((folder, file.display().to_string()))
}
