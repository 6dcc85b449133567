//! Configuration: YAML → typed → checked, with every problem of a file found at once.
//!
//! An operator who writes a file wrong learns everything that is wrong with it in one run: each problem with
//! its line, its column, the line itself and what to write instead. Steps, each a file or folder:
//!
//! 1. `source` reads the file, `yaml` parses it into a tree that knows positions, and `variables` expands
//!    `${VARIABLE}` in its values, where it cannot change the tree's shape;
//! 2. `read` walks that tree along the types of `model`, which say each key, its type and its default once
//!    (the [`schema()`] and the [`reference()`] are made from the same lines), and goes on after a problem;
//! 3. `check` does what needs more than one value, and yields [`Checked`]: a proof without
//!    run-time state, consumed by `snapshot`.
//!
//! Uses nothing of ours but `names`. Secrets never reach a message: see `mask`.

pub mod checked;
pub mod report;

mod changes;
mod check;
mod collections;
mod log_text;
mod mask;
mod model;
mod network;
mod patterns;
mod payload;
mod read;
mod reference;
mod schema;
mod source;
mod template;
mod text;
mod units;
mod variables;
mod words;
mod yaml;

pub use checked::Checked;
pub use reference::reference;
pub use report::{Code, Problem, Problems, Severity};
pub use schema::schema;
pub use source::{load, load_with, parse, parse_with};
pub use variables::Environment;
