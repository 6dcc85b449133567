//! `reload`: when the file is read again.

use crate::config::read::keys;
use crate::config::text::Switch;

keys! {
    /// When the file is read again.
    struct Reload {
        /// Whether the file, and every file of keys, tokens and certificates that it names, is watched: two seconds after the
        /// last change it is reloaded. A SIGHUP, `steadfast reload` and the admin API reload at any time.
        watch: Switch = "false",
    }
}
