//! `alerts`: who is told when more sessions are lost than usual.

use crate::config::read::keys;
use crate::config::text::{FilePath, Text};
use crate::config::units::Time;

keys! {
    /// What is told when a backend loses more sessions than it used to. The log always says so.
    struct Alerts {
        /// A web hook that is told, too; null: none.
        webhook: Option<Webhook> = "null",
    }
}

keys! {
    /// A web hook: JSON is posted there when such an incident begins, and when it is over. `text` says it in words, which is what
    /// Slack and Mattermost show.
    struct Webhook {
        /// Where: `http://…` or `https://…`. It often is a secret: `${VARIABLE}` keeps it out of the file.
        url: Text,
        /// File with a token that is sent as `Authorization: Bearer …`; null: none.
        token_file: Option<FilePath> = "null",
        /// For one try, whole; there are three.
        timeout: Time = "5s",
    }
}
