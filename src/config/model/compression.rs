//! `listeners.compression`: responses written shorter.

use crate::config::collections::OneOrMany;
use crate::config::patterns::MediaType;
use crate::config::read::keys;
use crate::config::text::Switch;
use crate::config::units::{Bytes, Whole};
use crate::config::words::{Coding, Word};

keys! {
    /// Responses written shorter for clients that can read it. Never those that are written so already, say `no-transform`, are
    /// parts of a whole (206) or event streams.
    struct Compression {
        /// What may be used; of those that the client likes equally, the first. Empty: none, for `decompress` alone.
        algorithms: OneOrMany<Word<Coding>> = "[zstd, br, gzip]",
        /// Responses of these media types.
        content_types: OneOrMany<MediaType> = "[text/*, application/json, application/javascript, application/xml, application/xhtml+xml, application/wasm, image/svg+xml]",
        /// Shorter ones are sent as they are. One whose length is not known is compressed.
        minimum_bytes: Bytes = "1KiB",
        /// How hard it tries, from 1 to 9.
        level: Whole<1, 9> = "4",
        /// Whether a response that a backend has compressed is written out for a client that cannot read it.
        decompress: Switch = "false",
        /// Responses that are compressed or written out at the same time; further ones are sent as they are. Each takes up to 1 MiB.
        at_once: Whole<1, 100_000> = "500",
    }
}
