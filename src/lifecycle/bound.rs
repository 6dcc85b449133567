//! A listener that is bound: what a reload can change of it, and what it cannot.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use parking_lot::Mutex;
use pingora::apps::HttpServerApp;

use crate::config::Checked;
use crate::config::checked::{self, ClientPrefix, Layer4, Listener, RequestBuffer};
use crate::limits::{ClientConnections, PerClient, Prefix};
use crate::listen::{
    Bounds, Budget, Buffers, Door, Files, Gathering, HeadLimits, Http2Bounds, ListenerTls, Page, Pages,
    Protocols, Slowest, SocketFile,
};
use crate::names::{ListenAddress, ListenerName};
use crate::tls::{ClientAuth, TicketKeys, TlsError, server_config};

/// A listener that is bound.
#[derive(Debug)]
pub(crate) struct BoundListener {
    pub(crate) name: ListenerName,
    /// As the configuration has it; the port may be 0.
    pub(crate) address: ListenAddress,
    /// The file of its socket, where it has one.
    file: Option<Arc<SocketFile>>,
    /// How many connections a client may have.
    clients: Arc<ClientConnections>,
    /// What its door goes by; `None`: layer 4 has no door, and goes by the snapshot.
    door: Option<BoundDoor>,
    speaks: Speaks,
}

/// What a listener's sockets are for: another kind takes other sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Speaks {
    Http,
    Tcp,
    Udp,
}

impl Speaks {
    fn of(listener: &Listener) -> Self {
        match listener.layer4 {
            None => Self::Http,
            Some(Layer4::Tcp(_)) => Self::Tcp,
            Some(Layer4::Udp(_)) => Self::Udp,
        }
    }
}

/// The door of a listener.
#[derive(Debug)]
struct BoundDoor {
    /// What it goes by, from the next connection on.
    bounds: Arc<ArcSwap<Bounds>>,
    /// What it keeps for slow clients, from the next connection on.
    buffers: Arc<ArcSwapOption<Buffers>>,
    /// What it says when it refuses a request.
    pages: Arc<ArcSwapOption<Pages>>,
    /// What it speaks, from the next connection on.
    protocols: Arc<ArcSwap<Protocols>>,
    /// What session tickets are sealed with, and for which clients.
    tickets: Mutex<Tickets>,
}

impl BoundListener {
    /// A listener whose door has begun with these tickets.
    pub(crate) fn new<A>(door: &Door<A>, address: ListenAddress, tickets: Tickets) -> Self
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let bounds = Arc::clone(door.bounds());
        let protocols = Arc::clone(door.protocols());
        let buffers = Arc::clone(&door.facts().buffers);
        let pages = Arc::clone(&door.facts().pages);
        let name = door.facts().name.clone();
        let clients = Arc::clone(&door.facts().clients);
        Self {
            name,
            address,
            file: None,
            clients,
            door: Some(BoundDoor { bounds, buffers, pages, protocols, tickets: Mutex::new(tickets) }),
            speaks: Speaks::Http,
        }
    }

    /// A listener of layer 4.
    pub(crate) fn without_door(
        name: ListenerName,
        address: ListenAddress,
        speaks: Speaks,
        clients: Arc<ClientConnections>,
    ) -> Self {
        Self { name, address, file: None, clients, door: None, speaks }
    }

    /// The same, at a socket that has this file.
    pub(crate) fn with_file(self, file: Option<Arc<SocketFile>>) -> Self {
        Self { file, ..self }
    }

    /// What its door would speak by another configuration, if it has one. Changes nothing.
    pub(super) fn next_protocols(
        &self,
        listener: &Listener,
    ) -> Result<Option<(Protocols, Tickets)>, TlsError> {
        let Some(door) = &self.door else { return Ok(None) };
        let tickets = door.tickets.lock().clone().for_clients(listener)?;
        Ok(Some((protocols(listener, &tickets)?, tickets)))
    }

    /// Whether the configuration means this one.
    pub(super) fn is(&self, listener: &Listener) -> bool {
        self.name == listener.name
    }

    /// What of it only another process could change, if anything.
    pub(super) fn differs(&self, checked: &Checked) -> Option<String> {
        match checked.listeners.iter().find(|listener| self.is(listener)) {
            None => Some(format!("listener `{}` was removed", self.name)),
            Some(listener) if listener.address != self.address => {
                Some(format!("listener `{}` was on {}", self.name, self.address))
            }
            Some(listener) if Speaks::of(listener) != self.speaks => {
                Some(format!("listener `{}` spoke another protocol", self.name))
            }
            Some(_) => None,
        }
    }

    /// Goes by the configuration from the next connection on.
    pub(super) fn follow(&self, listener: &Listener, next: Option<(Protocols, Tickets)>) {
        self.clients.follow(per_client(listener));
        if let Some(file) = &self.file {
            file.follow(listener.socket_mode);
        }
        let (Some(door), Some((protocols, tickets))) = (&self.door, next) else { return };
        door.bounds.store(Arc::new(bounds(listener)));
        door.buffers.store(buffers(listener));
        door.pages.store(pages(listener));
        door.protocols.store(Arc::new(protocols));
        *door.tickets.lock() = tickets;
    }
}

/// What a listener keeps for slow clients, if anything.
pub(crate) fn buffers(listener: &Listener) -> Option<Arc<Buffers>> {
    let buffer = &listener.buffer;
    if buffer.request.is_none() && buffer.response.is_none() {
        return None;
    }
    let memory = Budget::new(buffer.memory);
    let files = |request: &RequestBuffer| {
        let folder = request.folder.as_deref()?.into();
        Some(Files { folder, bytes: request.file, all_bytes: Budget::new(request.disk) })
    };
    let request = buffer.request.as_ref().map(|request| Gathering {
        memory: request.memory,
        all_memory: Arc::clone(&memory),
        files: files(request),
    });
    Some(Arc::new(Buffers { request, response: buffer.response, memory }))
}

/// What a listener's door says when it refuses a request, where that is not a line of text.
pub(crate) fn pages(listener: &Listener) -> Option<Arc<Pages>> {
    let page = |page: &checked::ErrorPage| {
        let media_type = HeaderValue::try_from(page.media_type.as_str()).ok()?;
        Some(Page { first: page.first, last: page.last, media_type, body: page.body.clone().into() })
    };
    let pages: Vec<_> = listener.error_pages.iter().filter_map(page).collect();
    (!pages.is_empty()).then(|| Arc::new(Pages(pages)))
}

/// How many connections one client of a listener may have, if that is bounded.
pub(crate) fn per_client(listener: &Listener) -> Option<PerClient> {
    let ClientPrefix { ipv4, ipv6 } = listener.limits.client;
    // Whoever comes by the PROXY protocol is counted once its address is known.
    let exempt = [&listener.trusted_proxies[..], &listener.proxy_protocol].concat();
    let per_client = |connections| PerClient { connections, prefix: Prefix { ipv4, ipv6 }, exempt };
    listener.limits.connections_per_client.map(per_client)
}

/// What a listener's session tickets are sealed with. Whoever was let in under other rules for clients is not let in again by
/// a ticket: it skips the certificate.
#[derive(Clone, Debug)]
pub(crate) struct Tickets {
    keys: TicketKeys,
    clients: Option<ClientAuth>,
}

impl Tickets {
    /// Fresh ones.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn new(listener: &Listener) -> Result<Self, TlsError> {
        Ok(Self { keys: TicketKeys::new()?, clients: clients(listener) })
    }

    fn for_clients(self, listener: &Listener) -> Result<Self, TlsError> {
        if self.clients == clients(listener) { Ok(self) } else { Self::new(listener) }
    }
}

fn clients(listener: &Listener) -> Option<ClientAuth> {
    listener.tls.as_ref()?.settings.clients.clone()
}

/// What a listener's door speaks.
///
/// # Errors
/// rustls refuses it.
pub(crate) fn protocols(listener: &Listener, tickets: &Tickets) -> Result<Protocols, TlsError> {
    let tls = |tls: &checked::ListenerTls| {
        let config = Arc::new(server_config(&tls.settings, &tickets.keys)?);
        Ok(ListenerTls { config, authenticates: tls.settings.clients.is_some() })
    };
    Ok(Protocols {
        proxies: listener.proxy_protocol.clone(),
        tls: listener.tls.as_ref().map(tls).transpose()?,
        http2: Http2Bounds {
            cleartext: listener.http2.cleartext,
            streams: listener.http2.max_streams,
            window: listener.http2.window,
            send_buffer: listener.http2.send_buffer,
            body_timeout: listener.timeouts.body,
            ..Http2Bounds::default()
        },
        handshake_timeout: listener.timeouts.handshake,
        handshakes: listener.limits.handshakes,
    })
}

/// What a listener's door goes by.
pub(crate) fn bounds(listener: &Listener) -> Bounds {
    Bounds {
        head: HeadLimits {
            bytes: listener.limits.head_bytes,
            fields: listener.limits.header_fields,
            target_bytes: listener.limits.uri_bytes,
            body_bytes: listener.limits.body_bytes,
        },
        head_timeout: listener.timeouts.head,
        idle: listener.timeouts.idle,
        connections: listener.limits.connections,
        body: listener.timeouts.body,
        write: listener.timeouts.write,
        slowest: Slowest {
            body: listener.limits.slowest_body.unwrap_or(0),
            reader: listener.limits.slowest_reader.unwrap_or(0),
        },
    }
}
