//! Certificates and keys, and the rustls settings made from them.
//!
//! [`Identity`] and [`Authorities`] are files that were read and understood; `config` reads them, so that a bad file is a
//! problem with a position and changes nothing. [`server_config`] makes what a listener speaks, with a
//! resolver that finds the certificate by server name. [`Subject`](subject_of) is what a client's certificate says of it.
//!
//! Uses nothing of ours: no file is read and no clock asked but by who calls it.

mod authorities;
mod file;
mod identity;
mod resolver;
mod server;
mod subject;

pub use authorities::Authorities;
pub use file::FileError;
pub use identity::Identity;
pub use resolver::Resolver;
pub use server::{ClientAuth, ServerSettings, TicketKeys, TlsError, server_config};
pub use subject::subject_of;
