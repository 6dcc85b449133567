//! YAML → typed → checked.
pub mod checked;
pub mod report;
