//! The token: the value of the load-balancer cookie.
//!
//! Sealed with AES-256-GCM-SIV (RFC 8452), which survives a repeated nonce: replicas share keys and draw
//! nonces on their own. Bound to its pool as associated data. 96 characters of unpadded URL-safe base64,
//! always: version, key tag, nonce, 42 sealed bytes, authentication tag. Issued anew it looks new, so it
//! tracks nobody. A token that cannot be opened counts as absent; a neighbour with other keys may have
//! made it.

mod codec;
mod keys;
mod opened;
mod seal;

pub(super) use codec::MAX_FINGERPRINTS;
pub use codec::{Flags, Token};
pub use keys::{Key, KeyRing};
pub use seal::{PoolBinding, Refused, SealedToken, TOKEN_LENGTH};
