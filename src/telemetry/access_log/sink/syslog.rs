//! A syslog daemon, spoken to as RFC 5424 has it, over a unix socket or UDP (RFC 5426): one datagram for each line.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::super::date;
use super::lines;
use crate::clock::Exact;

/// Informational: section 6.2.1.
const SEVERITY: u8 = 6;

/// Where a syslog daemon listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyslogAddress {
    /// A socket in the file system, such as `/dev/log`.
    Unix(PathBuf),
    /// UDP.
    Udp(SocketAddr),
}

/// What kind of program a message comes from (RFC 5424 section 6.2.1): those that are for programs like ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Facility {
    /// Other programs.
    User,
    /// Daemons.
    Daemon,
    /// For local use: 0 to 7.
    Local(u8),
}

impl Facility {
    fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Daemon => 3,
            Self::Local(number) => 16 + number.min(7),
        }
    }
}

/// A connection to a syslog daemon.
#[derive(Debug)]
pub(in crate::telemetry::access_log) struct Syslog {
    address: SyslogAddress,
    socket: Option<Socket>,
    /// `<PRI>1 `, in front of the time.
    before: String,
    /// Host, program, process, in front of the message.
    behind: String,
    message: Vec<u8>,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Syslog {
    pub(super) fn open(address: SyslogAddress, facility: Facility, tag: String) -> io::Result<Self> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let host = if host.is_empty() { "-" } else { host };
        let socket = connect(&address)?;
        Ok(Self {
            before: format!("<{}>1 ", facility.code() * 8 + SEVERITY),
            // No message id, no structured data.
            behind: format!(" {host} {tag} {} - - ", std::process::id()),
            socket: Some(socket),
            address,
            message: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut outcome = Ok(());
        for line in lines(bytes) {
            self.message.clear();
            self.message.extend_from_slice(self.before.as_bytes());
            date::rfc3339(Exact::read().unix_ms(), &mut self.message);
            self.message.extend_from_slice(self.behind.as_bytes());
            self.message.write_all(line)?;
            outcome = self.send();
        }
        outcome
    }

    /// Sends the message; a daemon that was restarted has another socket under its name.
    fn send(&mut self) -> io::Result<()> {
        let first = self
            .socket
            .as_ref()
            .map_or_else(|| Err(io::ErrorKind::NotConnected.into()), |socket| socket.send(&self.message));
        let Err(error) = first else { return Ok(()) };
        // UDP tells of an earlier message's refusal; and a message that is too long stays so.
        if error.raw_os_error() == Some(libc::EMSGSIZE) {
            return Err(error);
        }
        self.socket = None;
        let socket = self.socket.insert(connect(&self.address)?);
        socket.send(&self.message)
    }
}

impl Socket {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message).map(drop),
            Self::Udp(socket) => socket.send(message).map(drop),
        }
    }
}

fn connect(address: &SyslogAddress) -> io::Result<Socket> {
    Ok(match address {
        SyslogAddress::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Socket::Unix(socket)
        }
        SyslogAddress::Udp(address) => {
            let any =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.connect(address)?;
            Socket::Udp(socket)
        }
    })
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(address) => write!(f, "udp:{address}"),
        }
    }
}

impl fmt::Display for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "syslog at {}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, line: &str) {
        let words: Vec<_> = message.splitn(8, ' ').collect();
        assert_eq!(words[0], "<134>1", "local0 is 16, informational 6: {message}");
        assert!(words[1].len() == 24 && words[1].ends_with('Z'), "{message}");
        assert_eq!((words[3], words[5], words[6], words[7]), ("steadfast", "-", "-", line), "{message}");
        assert_eq!(words[4], std::process::id().to_string());
    }

    #[test]
    fn each_line_is_a_message_over_udp_and_over_a_socket() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let unix = UnixDatagram::bind(&path).unwrap();
        let open = |address| Syslog::open(address, Facility::Local(0), "steadfast".to_owned()).unwrap();
        open(SyslogAddress::Udp(udp.local_addr().unwrap())).write(b"one 1\ntwo 2\n").unwrap();
        let mut log = open(SyslogAddress::Unix(path.clone()));
        log.write(b"one 1\ntwo 2\n").unwrap();
        let mut buffer = [0; 1000];
        for line in ["one 1", "two 2"] {
            let length = udp.recv(&mut buffer).unwrap();
            check(std::str::from_utf8(&buffer[..length]).unwrap(), line);
            let length = unix.recv(&mut buffer).unwrap();
            check(std::str::from_utf8(&buffer[..length]).unwrap(), line);
        }
        // The daemon restarts.
        drop(unix);
        std::fs::remove_file(&path).unwrap();
        assert!(log.write(b"lost\n").is_err());
        let unix = UnixDatagram::bind(&path).unwrap();
        log.write(b"three 3\n").unwrap();
        let length = unix.recv(&mut buffer).unwrap();
        check(std::str::from_utf8(&buffer[..length]).unwrap(), "three 3");
    }
}
