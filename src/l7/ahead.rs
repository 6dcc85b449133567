//! Short bodies of HTTP/2 that are read before a backend is chosen, where that is switched on. For HTTP/1 the door does it, which
//! has the bytes; here Pingora keeps them, and sends them on.

use http::{Version, header};
use pingora::Result;
use pingora::proxy::Session;

use super::context::RequestContext;

/// What Pingora keeps of a body: what is longer has to pass as it comes.
const MOST: usize = 64 * 1024;

/// Reads the body of a request that says how long it is, if there is room for it. How long it may stand still is bounded where its
/// stream is served.
pub(super) async fn read_ahead(session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
    let Some(connection) = &ctx.connection else { return Ok(()) };
    let head = session.req_header();
    if head.version != Version::HTTP_2 || head.headers.contains_key(header::EXPECT) {
        return Ok(());
    }
    let buffers = connection.listener.buffers.load();
    let Some(gathering) = buffers.as_ref().and_then(|buffers| buffers.request.as_ref()) else {
        return Ok(());
    };
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) else { return Ok(()) };
    if length == 0 || length > gathering.memory.min(MOST) {
        return Ok(());
    }
    let Some(room) = gathering.room(length) else { return Ok(()) };
    ctx.room = Some(room);
    session.enable_retry_buffering();
    while session.read_request_body().await?.is_some() {
        if let Some(clock) = &ctx.body {
            clock.goes_on();
        }
    }
    if let Some(clock) = &ctx.body {
        clock.ends();
    }
    Ok(())
}
