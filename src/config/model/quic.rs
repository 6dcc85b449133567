//! `pools.NAME.quic`: clients of QUIC that change their network.

use crate::config::collections::{Named, OneOrMany};
use crate::config::payload::ServerId;
use crate::config::read::{elsewhere, keys};
use crate::config::text::{FilePath, Switch, Text};
use crate::config::units::Whole;

keys! {
    /// QUIC, in pools of UDP: how a client that changes its network stays with its backend.
    struct Quic {
        /// How backends write who they are into connection ids (QUIC-LB, draft-ietf-quic-load-balancers): one form, or a list of up to
        /// seven while they go over from one to another.
        connection_id: OneOrMany<ConnectionIdForm>,
    }
}

keys! {
    /// A form of connection ids, as the backends themselves are configured.
    struct ConnectionIdForm {
        /// The first three bits of connection ids of this form.
        config_id: Whole<0, 6> = "0",
        /// The server id of each backend, by the backend's id; or a list of them. 1 to 15 octets in hex, as many for each.
        server_ids: Named<OneOrMany<ServerId>>,
        /// Octets of the nonce; with those of a server id, at most 19.
        nonce_length: Whole<4, 18>,
        /// The key that connection ids are encrypted with; null: not, so that everybody can see which ones lead to one backend, and
        /// write some that lead there.
        key: Option<ConnectionIdKey> = "null",
        /// Whether the other five bits of the first octet say how many octets follow; connection ids in which they say something
        /// else then count as made by nobody.
        encodes_length: Switch = "false",
    }
}

keys! {
    /// The key of connection ids: `file` or `env`.
    struct ConnectionIdKey {
        /// File with the key: 16 bytes in hex or base64 (either alphabet); nobody else should be able to read it.
        file: Option<FilePath> = "null",
        /// Environment variable with the key, as for `file`.
        env: Option<Text> = "null",
    }
    refused [elsewhere("value", "write the key to a file, and name it with `file`")]
}
