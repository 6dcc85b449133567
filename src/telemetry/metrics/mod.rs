//! Metrics: the table of all families, and the text that a scrape is answered with.
//!
//! Values are counted elsewhere, by index and without labels; names and labels come in only here, when somebody asks. Labels
//! have their values from the configuration and from closed lists of words, never from a request.

mod exposition;
mod families;

pub use exposition::{Exposition, Format};
pub(crate) use families::family;
pub use families::{Family, Kind, families};
