//! Connection ids of QUIC: forms that fit into an id, and server ids of one backend each.

use std::collections::{BTreeMap, HashMap};

use super::{Surroundings, secrets};
use crate::config::checked::ConnectionIdForm;
use crate::config::collections::{Named, OneOrMany};
use crate::config::model;
use crate::config::payload::ServerId;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place, nearest};
use crate::config::text::Name;
use crate::names::BackendId;

/// QUIC's longest connection id has 20 octets, of which the first says the form.
const MOST: usize = 19;

/// Checks what connection ids say. `discovered`: there may be other backends than those.
pub(super) fn connection_ids(
    quic: Spanned<Option<model::Quic>>,
    backends: &Spanned<Vec<Spanned<model::Backend>>>,
    discovered: bool,
    around: &Surroundings<'_>,
) -> Option<Vec<ConnectionIdForm>> {
    let Some(quic) = quic.value? else { return Some(Vec::new()) };
    let place = quic.connection_id.place;
    let forms = quic.connection_id.value?.0;
    if forms.is_empty() {
        let help = "add a form, or remove `quic`";
        around.error(Code::MissingKey, &place, "`connection_id` is empty", help);
        return None;
    }
    config_ids_differ(&forms, around);
    clear_and_encrypted_differ(&forms, around);
    for form in forms.iter().filter_map(Spanned::get) {
        backends_fit(form, backends, discovered, around);
    }
    let forms: Vec<_> = forms.into_iter().map(|form| self::form(form, around)).collect();
    forms.into_iter().collect()
}

fn form(form: Spanned<model::ConnectionIdForm>, around: &Surroundings<'_>) -> Option<ConnectionIdForm> {
    let model::ConnectionIdForm { config_id, server_ids, nonce_length, key, encodes_length } = form.value?;
    let key_place = key.place.clone();
    let key = match key.value? {
        Some(key) => Some(secrets::connection_id_key(key, &key_place, around)),
        None => {
            let message = "connection ids are not encrypted";
            let help = "everybody can see which ones lead to one backend, and write some that lead there; `key` hides it";
            around.note(Code::Secret, &form.place, message, help);
            None
        }
    };
    let octet = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
    let nonce_length = octet(nonce_length.value?.0);
    let server_ids = self::server_ids(&server_ids, nonce_length, around)?;
    Some(ConnectionIdForm {
        config_id: octet(config_id.value?.0),
        server_id_length: server_ids.length,
        nonce_length,
        key: match key {
            Some(key) => Some(key?),
            None => None,
        },
        encodes_length: encodes_length.value?.0,
        server_ids: server_ids.all,
    })
}

/// Server ids, whose they are, and how long each is.
struct ServerIds {
    length: u8,
    all: Vec<(Vec<u8>, BackendId)>,
}

fn server_ids(
    spanned: &Spanned<Named<OneOrMany<ServerId>>>,
    nonce_length: u8,
    around: &Surroundings<'_>,
) -> Option<ServerIds> {
    let all: Vec<_> = listed(spanned).collect();
    let Some((_, first, first_place)) = all.first() else {
        if spanned.get().is_some_and(|Named(entries)| entries.is_empty()) {
            let help = "write each as `BACKEND: SERVER_ID`";
            around.error(Code::MissingKey, &spanned.place, "`server_ids` is empty", help);
        }
        return None;
    };
    let length = first.0.len();
    let mut right = length + usize::from(nonce_length) <= MOST;
    if !right {
        let message =
            format!("a server id of {length} bytes and a nonce of {nonce_length} are longer than {MOST}");
        around.error(
            Code::OutOfRange,
            first_place,
            message,
            "QUIC allows no longer connection ids: shorten one of them",
        );
    }
    let mut seen = HashMap::new();
    for (backend, id, place) in &all {
        if id.0.len() != length {
            let message =
                format!("`{}` has a server id of {} bytes, the first has {length}", backend.0, id.0.len());
            around.error(Code::Conflict, place, message, "server ids of one form are of one length");
            right = false;
        }
        if let Some(other) = seen.insert(&id.0, backend) {
            let message = format!("`{}` has a server id of `{}`", backend.0, other.0);
            around.error(Code::Duplicate, place, message, "give each backend a server id of its own");
            right = false;
        }
    }
    // Whoever has no value has reported it.
    let complete = spanned.get()?.0.iter().all(|(name, ids)| {
        name.get().is_some() && ids.get().is_some_and(|ids| ids.0.iter().all(|id| id.get().is_some()))
    });
    let server_ids = all.into_iter().map(|(backend, id, _)| (id.0.clone(), BackendId::new(&backend.0)));
    let length = u8::try_from(length).unwrap_or(u8::MAX);
    (right && complete).then(|| ServerIds { length, all: server_ids.collect() })
}

/// Each server id, whose it is, and where it stands.
fn listed(
    server_ids: &Spanned<Named<OneOrMany<ServerId>>>,
) -> impl Iterator<Item = (&Name, &ServerId, &Place)> {
    let entries = server_ids.get().into_iter().flat_map(|Named(entries)| entries);
    let with_name = entries.filter_map(|(name, ids)| Some((name.get()?, ids.get()?)));
    with_name.flat_map(|(name, ids)| ids.0.iter().filter_map(move |id| Some((name, id.get()?, &id.place))))
}

fn config_ids_differ(forms: &[Spanned<model::ConnectionIdForm>], around: &Surroundings<'_>) {
    let mut first = BTreeMap::new();
    for form in forms.iter() {
        let Some(config_id) = form.get().map(|form| &form.config_id) else { continue };
        let Some(number) = config_id.get() else { continue };
        // A default has no place of its own.
        let place = if config_id.given { &config_id.place } else { &form.place };
        if let Some(line) = first.insert(number.0, place.line) {
            let message = format!("config id {} is given twice", number.0);
            let help =
                format!("the first is on line {line}; the first three bits of an id say which form it has");
            around.error(Code::Duplicate, place, message, help);
        }
    }
}

/// Appendix "Distinguishing Attacks" of the draft: a server id that is seen in the clear helps to break one that is encrypted.
fn clear_and_encrypted_differ(forms: &[Spanned<model::ConnectionIdForm>], around: &Surroundings<'_>) {
    let forms = || forms.iter().filter_map(Spanned::get);
    let is_clear = |form: &&model::ConnectionIdForm| matches!(form.key.get(), Some(None));
    let clear: Vec<_> = forms().filter(is_clear).flat_map(|form| listed(&form.server_ids)).collect();
    for (_, id, place) in forms().filter(|form| !is_clear(form)).flat_map(|form| listed(&form.server_ids)) {
        if clear.iter().any(|(_, other, _)| *other == id) {
            let message = "a form without a key has this server id, too";
            let help = "what is seen there helps to break the encryption here: give backends other server ids for it";
            around.warn(Code::Trap, place, message, help);
        }
    }
}

/// Warns of names that no backend has, and of backends whose clients may not change their network.
fn backends_fit(
    form: &model::ConnectionIdForm,
    backends: &Spanned<Vec<Spanned<model::Backend>>>,
    discovered: bool,
    around: &Surroundings<'_>,
) {
    let Some(Named(entries)) = form.server_ids.get() else { return };
    let ids = || backends.get().into_iter().flatten().filter_map(|backend| Some(&backend.get()?.id));
    let known: Vec<&str> = ids().filter_map(|id| Some(id.get()?.0.as_str())).collect();
    for (name, _) in entries.iter().filter(|_| !discovered) {
        let Some(Name(text)) = name.get().filter(|Name(text)| !known.contains(&text.as_str())) else {
            continue;
        };
        let help = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "right while a backend that was removed drains; else remove it".to_owned(),
        };
        around.warn(Code::Unresolved, &name.place, format!("no backend is called `{text}`"), help);
    }
    let has = |id: &&Spanned<Name>| entries.iter().any(|(name, _)| name.get() == id.get());
    for id in ids().filter(|id| !has(id)) {
        let Some(Name(text)) = id.get() else { continue };
        let message = format!("backend `{text}` has no server id");
        let help = "a client that changes its network loses its connection there: add it to `server_ids`";
        around.warn(Code::Trap, &id.place, message, help);
    }
}
