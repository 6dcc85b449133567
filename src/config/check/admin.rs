//! The admin API: nobody but the owner of this machine reaches it without a token.

use zeroize::Zeroizing;

use super::listeners::collide;
use super::{Surroundings, secrets};
use crate::config::checked::{Admin, Layer4, Listener, Secret};
use crate::config::model;
use crate::config::network;
use crate::config::network::MAX_SOCKET_PATH;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::FilePath;
use crate::names::ListenAddress;

/// Characters that a token has at least: 128 bits even where it is written in hex.
const MIN_TOKEN: usize = 32;

/// The admin API, if there is one.
pub(super) fn admin(
    admin: Spanned<Option<model::Admin>>,
    listeners: &[Listener],
    around: &Surroundings<'_>,
) -> Option<Option<Admin>> {
    let Some(model::Admin { listen, token_file, dashboard }) = admin.value? else { return Some(None) };
    let place = listen.place;
    let listen = listen.value.map(|network::AdminListen(listen)| listen);
    let listen = listen.and_then(|listen| self::listen(listen, &place, listeners, around));
    let token = match token_file.value? {
        Some(file) => Some(token(&file, &token_file.place, around)),
        None => None,
    };
    let listen = listen?;
    let is_local = match &listen {
        ListenAddress::Ip(address) => address.ip().to_canonical().is_loopback(),
        ListenAddress::Unix(_) => true,
    };
    if !is_local && token.is_none() {
        let message = format!("`{listen}` can be reached from elsewhere, and there is no `token_file`");
        let help =
            "add `token_file: FILE` (`openssl rand -hex 32 > FILE; chmod 600 FILE`), or listen on 127.0.0.1";
        around.error(Code::MissingKey, &place, message, help);
        return None;
    }
    Some(Some(Admin {
        listen,
        token: match token {
            Some(token) => Some(token?),
            None => None,
        },
        dashboard: dashboard.value?.0,
    }))
}

fn listen(
    listen: ListenAddress,
    place: &Place,
    listeners: &[Listener],
    around: &Surroundings<'_>,
) -> Option<ListenAddress> {
    match listen {
        ListenAddress::Ip(address) => {
            let listen = ListenAddress::Ip(address);
            free(&listen, listeners, place, "give one of them another port", around)?;
            Some(listen)
        }
        ListenAddress::Unix(path) => {
            let path = around.path(&FilePath(path.to_path_buf()));
            let length = path.as_os_str().len();
            if length > MAX_SOCKET_PATH {
                let message = format!("the socket's path is too long: {length} bytes from the root");
                let help = format!(
                    "at most {MAX_SOCKET_PATH} are possible; /run/steadfast/admin.sock is a good place"
                );
                around.error(Code::OutOfRange, place, message, help);
                return None;
            }
            let listen = ListenAddress::Unix(path.into());
            free(&listen, listeners, place, "give one of them another path", around)?;
            Some(listen)
        }
    }
}

/// Whether no listener is in the way.
fn free(
    listen: &ListenAddress,
    listeners: &[Listener],
    place: &Place,
    help: &str,
    around: &Surroundings<'_>,
) -> Option<()> {
    let in_the_way = |listener: &&Listener| {
        !matches!(listener.layer4, Some(Layer4::Udp(_))) && collide(&listener.address, listen)
    };
    let Some(other) = listeners.iter().find(in_the_way) else { return Some(()) };
    let message = format!("`{listen}` is taken by listener `{}`", other.name);
    around.error(Code::Duplicate, place, message, help);
    None
}

fn token(file: &FilePath, place: &Place, around: &Surroundings<'_>) -> Option<Secret> {
    let text = secrets::from_file(&around.path(file), place, around)?;
    let help = "`openssl rand -hex 32` makes one";
    let length = text.chars().count();
    if length < MIN_TOKEN {
        let message = format!("the admin token is too short: {length} characters");
        around.error(Code::BadValue, place, message, format!("at least {MIN_TOKEN} are needed; {help}"));
        return None;
    }
    // It has to fit into a header field as one word (RFC 6750 section 2.1).
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        let message = "the admin token has characters other than visible ASCII";
        around.error(Code::BadValue, place, message, format!("write one word; {help}"));
        return None;
    }
    Some(Secret(Zeroizing::new(text.as_bytes().to_vec())))
}
