//! Configuration: YAML → a tree with positions → checked.
//!
//! [`keys`] is the one table of what may be written: it drives the check, the JSON Schema and the reference in
//! `docs/`. A file is checked whole: every problem is reported at once, with its position and what to write
//! instead. The result, [`checked::Checked`], has no holes left; `snapshot` consumes it.
//!
//! May use nothing of ours but `names`.

mod build;
pub mod checked;
mod keys;
mod kind;
mod node;
mod report;
mod schema;
mod source;
mod units;
mod values;

pub use checked::Checked;
pub use report::{Problem, Problems, Severity};
pub use schema::{reference, schema};
pub use source::{load, parse, parse_with};
