//! `listeners.headers` and `listeners.error_pages`: what is told about a request, and what it is answered by us.

use crate::config::patterns::FieldName;
use crate::config::read::keys;
use crate::config::text::{Name, Text};
use crate::config::words::{ForwardedBy, Word};

keys! {
    /// What backends and clients are told about a request.
    struct Headers {
        /// How backends are told who asks: `x_forwarded`: by `X-Forwarded-For`, `-Proto` and `-Host`; `forwarded`: by `Forwarded`
        /// (RFC 7239), which is then also what `trusted_proxies` are believed; `both`: by both, and `X-Forwarded-*` is believed.
        forwarded: Word<ForwardedBy> = "x_forwarded",
        /// The field of the request's id, such as `X-Request-Id`: kept from trusted proxies, else made; passed on to the backend, and
        /// in the debug log. null: no id.
        request_id: Option<FieldName> = "null",
        /// What `Server` says to clients; null: what the backend says.
        server: Option<Text> = "null",
        /// This name is added to `Via`, both ways; null: nothing is.
        via: Option<Name> = "null",
    }
}
