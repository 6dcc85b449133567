//! Pingora's phases, in their order, one line or two each.

use std::any::Any;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, Result};

use super::context::{RequestContext, Stage};
use super::mirror::Mirrors;
use super::phases::Phases;
use super::{answer, arrive, choose, compress, connect, forward, log, mirror, reply, retry};
use crate::clock::Exact;
use crate::hooks::Chain;
use crate::listen::Connection;
use crate::snapshot::Current;
use crate::telemetry::{Counts, Recent, Spans};

/// The HTTP proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(super) current: Arc<Current>,
    pub(super) hooks: Chain,
    pub(super) counts: Arc<Counts>,
    /// `None`: nobody could ask.
    pub(super) recent: Option<Arc<Recent>>,
    pub(super) spans: Arc<Spans>,
    pub(super) mirrors: Mirrors,
}

impl Proxy {
    /// A proxy that serves by the snapshot in force.
    pub(crate) fn new(
        current: Arc<Current>,
        hooks: Chain,
        counts: Arc<Counts>,
        recent: Option<Arc<Recent>>,
        spans: Arc<Spans>,
    ) -> Self {
        Self { current, hooks, counts, recent, spans, mirrors: Mirrors::default() }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = RequestContext;

    fn new_ctx(&self) -> Self::CTX {
        let arrived = Exact::read();
        RequestContext {
            snapshot: self.current.load(),
            arrived: arrived.now,
            phases: Phases::new(arrived),
            connection: None,
            client: None,
            body: None,
            states: self.hooks.states(),
            request_id: None,
            route: None,
            traced: None,
            mirror: None,
            coder: None,
            body_bytes: 0,
            interim: 0,
            stage: Stage::Arrived,
        }
    }

    /// Leaves out Pingora's compression, which costs an allocation per request even when it is off.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    /// The front door hands the connection's facts over as if it were reused each time.
    fn on_connection_reuse(&self, _: &mut Session, ctx: &mut Self::CTX, facts: Box<dyn Any + Send + Sync>) {
        ctx.connection = facts.downcast::<Arc<Connection>>().ok().map(|connection| *connection);
        if let Some(connection) = &ctx.connection {
            connection.count_request();
        }
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<()> {
        arrive::note_stream(session, ctx);
        arrive::bound_times(session, ctx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        choose::choose(self, session, ctx).await
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        mirror::body(self, body.as_ref(), end, ctx);
        arrive::bound_body(body.as_ref(), end, ctx)
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        connect::peer(self, session, ctx).await
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: RawFd,
        _: Option<&Digest>,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        if let Some(placed) = ctx.placed() {
            placed.reused = reused;
        }
        ctx.phases.connected(reused);
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Self::CTX,
        error: Box<Error>,
    ) -> Box<Error> {
        retry::after_failed_connect(ctx, error)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        client_reused: bool,
    ) -> Box<Error> {
        retry::after_failed_exchange(session, ctx, error, client_reused)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        forward::forward(self, session, request, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        answer::answer(self, session, response, ctx)
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        compress::body(body, end, ctx)?;
        Ok(None)
    }

    /// Where trailers follow, the body ends without a word.
    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut http::HeaderMap,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Bytes>> {
        let mut rest = None;
        compress::body(&mut rest, true, ctx)?;
        Ok(rest)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        reply::failure(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Self::CTX) {
        log::finish(self, session, ctx);
    }

    /// A client that has left is no error of ours or of a backend's.
    fn suppress_error_log(&self, _: &Session, _: &Self::CTX, error: &Error) -> bool {
        *error.esource() == ErrorSource::Downstream
    }

    /// Without path and host: a session id may stand in either.
    fn request_summary(&self, session: &Session, ctx: &Self::CTX) -> String {
        let listener = ctx.connection.as_ref().map_or("?", |connection| connection.listener.name.as_str());
        format!("{} on listener {listener}", session.req_header().method)
    }
}
