//! `pools.NAME.waiting_room`: where visitors wait while a pool has as many sessions as it may.

use crate::config::read::keys;
use crate::config::text::FilePath;
use crate::config::units::{Time, Whole};

keys! {
    /// Where new visitors wait while the pool has as many sessions as it may. Running sessions do not notice.
    struct WaitingRoom {
        /// Sessions that may live at once, as this replica counts them: with several replicas, each one's share.
        sessions: Whole<1, 100_000_000>,
        /// Visitors that wait; further ones get 503.
        length: Whole<1, 1_000_000> = "10000",
        /// After what time the page renews itself.
        refresh: Time = "10s",
        /// Whoever does not come back for this long loses its turn; at least twice `refresh`.
        patience: Time = "1m",
        /// The page, in HTML; `{place}` in it becomes the visitor's place, `{refresh}` the seconds until it renews itself.
        /// null: a plain one.
        page: Option<FilePath> = "null",
    }
}
