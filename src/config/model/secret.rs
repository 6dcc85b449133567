//! `keys` and `affinity_seed`: secrets, and where they come from.

use crate::config::read::keys;
use crate::config::text::{FilePath, Name, Text};

keys! {
    /// One key of the load-balancer cookie: `id`, and one of `value`, `file` and `env`.
    struct TokenKey {
        /// The key's id, unique in the list.
        id: Name,
        /// The key itself: 32 bytes in base64 (either alphabet) or hex. Prefer `file` or `env`.
        value: Option<Text> = "null",
        /// File with the key, as for `value`; nobody else should be able to read it.
        file: Option<FilePath> = "null",
        /// Environment variable with the key, as for `value`.
        env: Option<Text> = "null",
    }
}

keys! {
    /// The secret of all hashes: one of `value`, `file` and `env`.
    struct AffinitySeed {
        /// The secret itself: any text of at least 16 bytes. Prefer `file` or `env`.
        value: Option<Text> = "null",
        /// File with the secret; nobody else should be able to read it.
        file: Option<FilePath> = "null",
        /// Environment variable with the secret.
        env: Option<Text> = "null",
    }
}
