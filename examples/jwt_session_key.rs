//! Names the session by a claim of the caller's JSON Web Token: an API client without cookies stays on the
//! backend that knows it. `cargo run --example jwt_session_key -- conf/tomcat.yaml`
//!
//! The claim only chooses a backend, and only a keyed digest of it is kept, so the token's signature is left to
//! the application.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use steadfast::hooks::{Hook, RequestView, SessionKey};
use steadfast::{Error, Steadfast};

struct ByJwtClaim {
    claim: &'static str,
}

impl Hook for ByJwtClaim {
    type State = ();

    fn session_key(&self, request: &RequestView<'_>, _state: &mut ()) -> Option<SessionKey> {
        let token = request.header("authorization")?.strip_prefix(b"Bearer ")?;
        let payload = token.split(|byte| *byte == b'.').nth(1)?;
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        Some(SessionKey::from_bytes(claims.get(self.claim)?.as_str()?.as_bytes()))
    }
}

fn main() -> Result<(), Error> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "conf/tomcat.yaml".to_owned());
    Steadfast::from_file(file)?.hook(ByJwtClaim { claim: "sub" }).run()
}
