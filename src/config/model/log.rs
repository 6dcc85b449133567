//! `access_log`: one line for each request, or for those that matter.

use crate::config::checked::{Facility, Matter};
use crate::config::log_text::{LogFormat, SyslogPlace, Tag, Template};
use crate::config::read::{Spanned, keys, later};
use crate::config::text::{FilePath, Switch};
use crate::config::units::{Bytes, Time, Whole};
use crate::config::words::Word;

keys! {
    /// One line for each request, or for those that matter; to exactly one of `file`, `stdout`, `syslog` and `journald`.
    struct AccessLog {
        /// Whether it is written; `false` under a listener takes it out of the log of all.
        enabled: Switch = "true",
        /// To a file.
        file: Option<LogFile> = "null",
        /// To standard output.
        stdout: Switch = "false",
        /// To a syslog daemon, as RFC 5424 has it.
        syslog: Option<Syslog> = "null",
        /// To the journal of systemd: `{}`.
        journald: Option<Journald> = "null",
        /// How a line looks. `json`: an object with all fields that the request has; `common` and `combined`: as Apache and
        /// NGINX write them. docs/access_log.md lists the fields.
        format: Word<LogFormat> = "json",
        /// Instead of `format`: text with fields, such as `'{time} {client} {method} {path} {status} {backend}'`; `{{` is a
        /// brace. A field that the request does not have is `-`.
        template: Option<Template> = "null",
        /// Whether paths keep their queries. Values of parameters whose names look secret (`token`, `password`, `session`,
        /// `key` and the like) are then shown as `*`.
        query: Switch = "false",
        /// Only these: `errors` (500 and above, or no answer), `client_errors` (400 to 499), `moved` and `lost` sessions,
        /// `retried`. Empty: all. With `slower_than`: these and the slow ones.
        only: Vec<Spanned<Word<Matter>>> = "[]",
        /// Also those that took longer; alone, only those.
        slower_than: Option<Time> = "null",
        /// One of so many is written. Errors, moved and lost sessions are written in any case.
        one_of: Whole<1, 1_000_000> = "1",
        /// Lines that wait to be written, at most; further ones are dropped and counted, rather than hold up requests.
        buffer: Bytes = "1MiB",
    }
    refused [later("headers"), later("tls")]
}

keys! {
    /// A log file.
    struct LogFile {
        /// The file. It is made if it is not there, readable to the own group.
        path: FilePath,
        /// Rotation by Steadfast itself; null: whoever moves the file away sends SIGUSR1, and it is opened anew.
        rotate: Option<Rotate> = "null",
    }
    refused [later("compress"), later("mode")]
}

keys! {
    /// Rotation by size: `NAME` becomes `NAME.1`, that `NAME.2`, and so on.
    struct Rotate {
        /// How large a file becomes, about.
        size: Bytes = "100MiB",
        /// Old files that are kept.
        keep: Whole<0, 1000> = "7",
    }
    refused [later("interval")]
}

keys! {
    /// A syslog daemon.
    struct Syslog {
        /// Where it listens: `unix:PATH` or `udp:ADDRESS:PORT`.
        address: SyslogPlace = "unix:/dev/log",
        /// What kind of program it takes us for.
        facility: Word<Facility> = "local0",
        /// What we are called there.
        tag: Tag = "steadfast",
    }
    refused [later("tcp")]
}

keys! {
    /// The journal of systemd.
    struct Journald {
        /// Its socket.
        socket: FilePath = "/run/systemd/journal/socket",
        /// What we are called there.
        tag: Tag = "steadfast",
    }
    refused []
}
