//! Discovery: backends that come and go, by DNS or a file.
//!
//! Reserved: this release takes the backends that the configuration names, and refuses `discovery`. May use pool.
