//! Connection ids of QUIC that say which backend made them.

use super::Secret;
use crate::names::BackendId;

/// How backends write who they are into connection ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionIdForm {
    /// The first three bits of ids of this form, 0 to 6.
    pub config_id: u8,
    /// Octets of each server id, 1 to 15.
    pub server_id_length: u8,
    /// Octets of the nonce, at least 4; together at most 19.
    pub nonce_length: u8,
    /// 16 bytes, unless ids are not encrypted.
    pub key: Option<Secret>,
    /// Whether the other five bits of the first octet say how many octets follow.
    pub encodes_length: bool,
    /// Server ids, each once, and whose they are. The backend may be one that discovery has not found yet.
    pub server_ids: Vec<(Vec<u8>, BackendId)>,
}
