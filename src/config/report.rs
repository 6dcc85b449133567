//! Problems of a configuration: what, where, and what to write instead.

/// One thing that is wrong, or probably not meant, in a configuration.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
}
