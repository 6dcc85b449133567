//! Addresses, sockets, networks and status codes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use schemars::JsonSchema;

use super::read::{Cursor, Read};
use super::report::Code;
use crate::names::{BackendAddress, ListenAddress};

/// What the kernel takes as a socket's path (`sun_path`), without its end.
pub(super) const MAX_SOCKET_PATH: usize = 107;

/// IP address and port, such as `10.0.0.11:8080` or `[fd00::11]:8080`.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "address"))]
pub(super) struct Address(#[schemars(with = "String")] pub(super) SocketAddr);

/// IP address and port, or `unix:PATH`, whose path begins at the root.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "address or `unix:PATH`"))]
pub(super) struct BackendAt(#[schemars(with = "String")] pub(super) BackendAddress);

/// IP address and port, or `unix:PATH`, whose path begins at the root.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "address or `unix:PATH`"))]
pub(super) struct ListenAt(#[schemars(with = "String")] pub(super) ListenAddress);

/// IP address and port, or `unix:PATH`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "address or `unix:PATH`"))]
pub(super) struct AdminListen(#[schemars(with = "String")] pub(super) ListenAddress);

/// Who may connect to a socket in the file system: the octal mode of its file, such as `0660`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("x-type" = "octal mode"))]
pub(super) struct SocketMode(#[schemars(with = "ModeText")] pub(super) u32);

/// A network such as `10.0.0.0/8`, or one IP address.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "network"))]
pub(super) struct Network(#[schemars(with = "String")] pub(super) IpNet);

/// A status code such as `204`, or a range such as `200-399`, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("x-type" = "status or range"))]
pub(super) struct StatusRange(#[schemars(with = "StatusText")] pub(super) (u16, u16));

/// A status code such as `404`, or a class of them: `4xx`, `5xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusClass(pub(super) (u16, u16));

/// How a mode may be written: what looks like a number is read as its digits.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "for the schema only")]
enum ModeText {
    Digits(u16),
    Text(String),
}

/// How status codes may be written.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "for the schema only")]
enum StatusText {
    One(u16),
    Range(String),
}

impl Read for Address {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("an address such as 10.0.0.11:8080")?;
        let text = scalar.text.trim();
        if let Ok(address) = text.parse() {
            return Some(Self(address));
        }
        let shown = scalar.shown();
        let (message, help) = address_fault(text, &shown);
        cursor.refuse(Code::BadValue, message, help);
        None
    }
}

impl Read for BackendAt {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("an address such as 10.0.0.11:8080, or unix:PATH")?;
        if scalar.text.trim().starts_with('/') {
            let shown = scalar.shown();
            let message = format!("`{shown}` is a path, not an address");
            cursor.refuse(Code::BadValue, message, format!("write `unix:{shown}`"));
            return None;
        }
        let Some(path) = scalar.text.trim().strip_prefix("unix:") else {
            return Address::read(cursor).map(|Address(address)| Self(address.into()));
        };
        if !path.starts_with('/') || path.contains('\0') || path.len() > MAX_SOCKET_PATH {
            let message = format!("`{}` names no socket", scalar.shown());
            let help = format!(
                "write a path from the root, of {MAX_SOCKET_PATH} bytes at most, such as unix:/run/app.sock"
            );
            cursor.refuse(Code::BadValue, message, help);
            return None;
        }
        Some(Self(BackendAddress::Unix(std::path::Path::new(path).into())))
    }
}

impl Read for ListenAt {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        BackendAt::read(cursor).map(|BackendAt(address)| match address {
            BackendAddress::Ip(address) => Self(ListenAddress::Ip(address)),
            BackendAddress::Unix(path) => Self(ListenAddress::Unix(path)),
        })
    }
}

impl Read for SocketMode {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        /// Of those bits, only who may write says who may connect.
        const WRITE: u32 = 0o222;
        let scalar = cursor.scalar("an octal mode such as 0660")?;
        let text = scalar.text.trim();
        let digits = (3..=4).contains(&text.len()) && text.chars().all(|c| c.is_digit(8));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777);
        let Some(mode) = mode else {
            let message = format!("`{}` is no mode of a socket", scalar.shown());
            cursor.refuse(Code::BadValue, message, "write three octal digits, such as 0600, 0660 or 0666");
            return None;
        };
        if mode & WRITE == 0 {
            let message = format!("`{}` lets nobody connect", scalar.shown());
            cursor.refuse(
                Code::OutOfRange,
                message,
                "who is to connect needs the bit for writing, as in 0660",
            );
            return None;
        }
        Some(Self(mode))
    }
}

impl Read for AdminListen {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        const EXAMPLE: &str = "such as unix:/run/steadfast/admin.sock";
        let scalar = cursor.scalar("an address such as 127.0.0.1:9900, or unix:PATH")?;
        let text = scalar.text.trim();
        let shown = scalar.shown();
        if text.starts_with('/') {
            let help = format!("write `unix:{shown}`");
            cursor.refuse(Code::BadValue, format!("`{shown}` is a path, not an address"), help);
            return None;
        }
        let Some(path) = text.strip_prefix("unix:") else {
            return Address::read(cursor).map(|Address(address)| Self(ListenAddress::Ip(address)));
        };
        if path.is_empty() || path.contains('\0') {
            cursor.refuse(
                Code::BadValue,
                format!("`{shown}` names no socket"),
                format!("write a path, {EXAMPLE}"),
            );
            return None;
        }
        Some(Self(ListenAddress::Unix(std::path::Path::new(path).into())))
    }
}

/// What is wrong with an address, and what to write instead.
fn address_fault(text: &str, shown: &str) -> (String, String) {
    const EXAMPLE: &str = "write IP address and port, such as 10.0.0.11:8080 or [fd00::11]:8080";
    if text.starts_with("unix:") || text.starts_with('/') {
        let message = format!("`{shown}` is a Unix socket, which is not supported here");
        return (message, EXAMPLE.to_owned());
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return (
            format!("`{shown}` is a URL, not an address"),
            format!("leave out `{scheme}://`: {EXAMPLE}"),
        );
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return (format!("`{shown}` has no port"), format!("write `[{shown}]:8080`"));
    }
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if text.parse::<IpAddr>().is_ok() || bracketed.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()) {
        return (
            format!("`{shown}` has no port"),
            format!("write `{shown}:8080`, with the port that is meant"),
        );
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        if text.parse::<u16>().is_ok() {
            return (
                format!("`{shown}` has no IP address"),
                format!("write `0.0.0.0:{shown}` or `127.0.0.1:{shown}`"),
            );
        }
        if is_host(text) {
            return host_name(shown);
        }
        return (format!("`{shown}` is not an address"), EXAMPLE.to_owned());
    };
    let numeric = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    if numeric && port.parse::<u16>().is_err() {
        return (format!("`{shown}` has a port above 65535"), "ports are numbers up to 65535".to_owned());
    }
    if (host.is_empty() || host == "*") && numeric {
        let message = format!("`{shown}` has no IP address");
        return (
            message,
            format!("write `0.0.0.0:{port}` for every IPv4 address, `[::]:{port}` for IPv6 too"),
        );
    }
    if numeric && is_host(host) {
        return host_name(shown);
    }
    (format!("`{shown}` is not an address"), EXAMPLE.to_owned())
}

fn host_name(shown: &str) -> (String, String) {
    let message = format!("`{shown}` names a host: only IP addresses are taken here");
    let help = "write the host's IP address and port, such as 10.0.0.11:8080; backends behind a name are found by the pool's \
                `discovery: { dns: … }`";
    (message, help.to_owned())
}

/// Whether it can be meant as a host name: four numbers are a mistyped IP address.
fn is_host(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) && text.contains(char::is_alphabetic)
}

impl Read for Network {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a network such as 10.0.0.0/8")?;
        let (text, shown) = (scalar.text.trim(), scalar.shown());
        let network = match text.parse::<IpNet>() {
            Ok(network) => network,
            Err(_) => match text.parse::<IpAddr>() {
                Ok(address) => address.into(),
                Err(_) => {
                    let message = format!("`{shown}` is not a network");
                    let help = "write IP address and prefix length, such as 10.0.0.0/8, or one IP address";
                    cursor.refuse(Code::BadValue, message, help);
                    return None;
                }
            },
        };
        if network.trunc() != network {
            let message = format!("`{shown}` has bits behind its prefix");
            let help = format!("write `{}` for the network, or the address alone", network.trunc());
            cursor.refuse(Code::BadValue, message, help);
            return None;
        }
        Some(Self(network))
    }
}

impl Read for StatusClass {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a status such as 404, or 5xx")?;
        let range = match scalar.text.as_str() {
            "4xx" => Some((400, 499)),
            "5xx" => Some((500, 599)),
            text => text.parse().ok().filter(|code| (400..=599).contains(code)).map(|code: u16| (code, code)),
        };
        if range.is_none() {
            let message = format!("`{}` is no status of an error", scalar.shown());
            cursor.refuse(Code::BadValue, message, "write it such as 404, 503, 4xx or 5xx");
        }
        range.map(Self)
    }
}

impl Read for StatusRange {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        const HELP: &str = "write a code such as 204 or a range such as 200-399, from 100 to 599";
        let scalar = cursor.scalar("a status code or a range such as 200-399")?;
        let text = scalar.text.trim();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let code = |text: &str| {
            let text = text.trim();
            let digits = text.chars().all(|c| c.is_ascii_digit());
            text.parse::<u16>().ok().filter(|code| digits && (100..=599).contains(code))
        };
        let (Some(first), Some(last)) = (code(first), code(last)) else {
            cursor.refuse(Code::BadValue, format!("`{}` is no status code or range", scalar.shown()), HELP);
            return None;
        };
        if first > last {
            let message = format!("`{}` is an empty range", scalar.shown());
            cursor.refuse(Code::OutOfRange, message, format!("write `{last}-{first}`"));
            return None;
        }
        Some(Self((first, last)))
    }
}

#[cfg(test)]
mod tests {
    use super::address_fault;

    #[test]
    fn each_fault_of_an_address_is_named() {
        let cases = [
            ("10.0.0.1", "has no port"),
            ("fd00::1", "has no port"),
            ("[fd00::1]", "has no port"),
            ("app.internal:8080", "names a host"),
            ("localhost", "names a host"),
            ("localhost:80", "names a host"),
            (":8080", "has no IP address"),
            ("*:8080", "has no IP address"),
            ("8080", "has no IP address"),
            ("10.0.0.1:99999", "port above 65535"),
            ("10.0.0.300:80", "is not an address"),
            ("http://10.0.0.1:80", "is a URL"),
            ("unix:/run/app.sock", "Unix socket"),
            ("10.0.0.1:http", "is not an address"),
            ("10.0.0.1:", "is not an address"),
        ];
        for (text, part) in cases {
            let (message, _) = address_fault(text, text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
