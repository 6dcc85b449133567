//! What a process finds of the one before it.

use std::path::PathBuf;

use crate::admin::AdminSocket;
use crate::config::Checked;
use crate::lifecycle::{Inheritance, SOCKET_VARIABLE, connect};
use crate::listen::BindError;
use crate::names::{ListenAddress, ListenerName};

/// The admin API's socket: the one of the process before, if that listened at the same place.
pub(super) fn admin_socket(
    listen: &ListenAddress,
    inherited: &mut Option<Inheritance>,
) -> Result<AdminSocket, BindError> {
    let heirloom = inherited
        .as_mut()
        .and_then(|it| it.socket(&ListenerName::new(AdminSocket::NAME), &listen.to_string()));
    match heirloom {
        Some(socket) => Ok(AdminSocket::inherited(listen, socket)),
        None => AdminSocket::bind(listen),
    }
}

/// What the process has left that this one was started to succeed, if any.
pub(super) fn inheritance(upgrades: bool, checked: &Checked) -> Option<Inheritance> {
    let told = std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from);
    let path = told.or_else(|| upgrades.then(|| upgrade_sock(checked)))?;
    match connect(&path) {
        Ok(inherited) => Some(inherited),
        Err(error) => {
            // It may have died in the middle; then somebody has to serve.
            log::warn!("nothing to take over at {}: {error}; starting afresh", path.display());
            None
        }
    }
}

pub(super) fn upgrade_sock(checked: &Checked) -> PathBuf {
    checked.server.upgrade_sock.clone().unwrap_or_else(|| checked.state_dir.join("upgrade.sock"))
}
