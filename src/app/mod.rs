//! The whole balancer: configuration → snapshot → bound listeners → running server.

mod bound;
mod builder;
mod inherit;
mod running;
mod settings;
mod sockets;

pub use bound::Bound;
pub use builder::Steadfast;
pub use running::Running;
