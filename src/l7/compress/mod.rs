//! Bodies written shorter for clients that can read it, or written out for those that cannot.
//!
//! `accept.rs` reads what the client takes, `coder.rs` does the work, piece by piece; here is decided, and the head changed.
//! A response whose length is not known is passed on piece by piece, without waiting for more. Pingora's own module takes the
//! first entry of `Accept-Encoding` whatever its weight, and knows neither `no-transform` nor 206.

mod accept;
mod coder;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};

use self::accept::Accepted;
pub(crate) use self::coder::Coder;
use super::arrive::listener;
use super::context::RequestContext;
use crate::snapshot::{Coding, Compression};

/// Decides, and changes the head. Called last: what others have changed is seen.
pub(super) fn begin(
    request: &RequestHeader,
    response: &mut ResponseHeader,
    ctx: &mut RequestContext,
) -> Result<()> {
    let Some(compression) = listener(ctx).and_then(|listener| listener.compression.as_ref()) else {
        return Ok(());
    };
    let status = response.status;
    if status == StatusCode::NOT_MODIFIED {
        return renew_validator(request, response);
    }
    if status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT)
        || may_not(request, &response.headers)
    {
        return Ok(());
    }
    let coder = match coding_of(&response.headers) {
        Written::Plainly if compression.suits(response) => {
            vary(response)?;
            let accepted = Accepted::read(&request.headers);
            let Some(coding) = accepted.best(&compression.algorithms) else { return Ok(()) };
            let Some(place) = compression.place() else { return Ok(()) };
            response.insert_header(header::CONTENT_ENCODING, coding.as_str())?;
            Coder::to(coding, compression.level, place)
        }
        Written::By(coding) if compression.decompress && !Accepted::read(&request.headers).takes(coding) => {
            vary(response)?;
            let Some(place) = compression.place() else { return Ok(()) };
            response.remove_header(&header::CONTENT_ENCODING);
            Coder::from(coding, place)
        }
        Written::Plainly | Written::By(_) | Written::Otherwise => return Ok(()),
    };
    let coder = coder.map_err(|error| Error::because(ErrorType::InternalError, "no coder", error))?;
    let streams = !response.headers.contains_key(header::CONTENT_LENGTH);
    response.remove_header(&header::CONTENT_LENGTH);
    response.remove_header(&header::ACCEPT_RANGES);
    weaken(response)?;
    if request.method == Method::HEAD {
        return Ok(());
    }
    if request.version == Version::HTTP_11 {
        response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    ctx.coder = Some(Box::new(coder.streaming(streams)));
    Ok(())
}

/// Passes a piece of the body through the coder, if there is one.
pub(super) fn body(piece: &mut Option<Bytes>, end: bool, ctx: &mut RequestContext) -> Result<()> {
    let Some(coder) = &mut ctx.coder else { return Ok(()) };
    let coded = coder.pass(piece.as_deref().unwrap_or_default(), end);
    let coded = coded.map_err(|error| {
        Error::because(ErrorType::InternalError, "a body could not be coded", error).into_up()
    })?;
    if end {
        ctx.coder = None;
    }
    // Nothing yet is not the end.
    *piece = Some(coded);
    Ok(())
}

/// How a body is written.
enum Written {
    Plainly,
    By(Coding),
    /// In a way that we do not know, or in several.
    Otherwise,
}

fn coding_of(headers: &HeaderMap) -> Written {
    let mut fields = headers.get_all(header::CONTENT_ENCODING).iter();
    match (fields.next().map(|field| field.as_bytes().trim_ascii()), fields.next()) {
        (None, _) => Written::Plainly,
        (Some(word), None) if word.is_empty() || word.eq_ignore_ascii_case(b"identity") => Written::Plainly,
        (Some(word), None) => Coding::read(word).map_or(Written::Otherwise, Written::By),
        (Some(_), Some(_)) => Written::Otherwise,
    }
}

/// RFC 9111 section 5.2: neither side may be transformed against its word. What says a digest of its bytes stays as it is, too.
fn may_not(request: &RequestHeader, response: &HeaderMap) -> bool {
    let forbids = |headers: &HeaderMap| {
        let fields = headers.get_all(header::CACHE_CONTROL).iter();
        fields
            .flat_map(|field| field.as_bytes().split(|byte| *byte == b','))
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    };
    // Only a client of HTTP/1.1 can be told that more follows without a length.
    request.version < Version::HTTP_11
        || forbids(&request.headers)
        || forbids(response)
        || response.contains_key(header::CONTENT_RANGE)
        || ["digest", "content-digest", "repr-digest", "content-md5"]
            .iter()
            .any(|name| response.contains_key(*name))
}

impl Compression {
    fn suits(&self, response: &ResponseHeader) -> bool {
        let headers = &response.headers;
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let essence = headers
            .get(header::CONTENT_TYPE)
            .and_then(|media| media.as_bytes().split(|byte| *byte == b';').next());
        let is_known = |essence: &[u8]| self.content_types.iter().any(|media| media.takes(essence));
        let is_stream = |essence: &[u8]| essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream");
        length.is_none_or(|length| length >= self.minimum_bytes)
            && essence.is_some_and(|essence| is_known(essence) && !is_stream(essence))
    }
}

/// Caches keep what each kind of client gets, also of a response that this one gets as it is.
fn vary(response: &mut ResponseHeader) -> Result<()> {
    let fields = response.headers.get_all(header::VARY).iter();
    let mut words =
        fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if words.any(|word| word == b"*" || word.eq_ignore_ascii_case(b"accept-encoding")) {
        return Ok(());
    }
    response.append_header(header::VARY, "Accept-Encoding").map(drop)
}

/// The same content in other bytes has no strong validator of the old ones (RFC 9110 section 8.8.1).
fn weaken(response: &mut ResponseHeader) -> Result<()> {
    match response.headers.get(header::ETAG) {
        Some(tag) if tag.as_bytes().starts_with(b"\"") => {
            let weak = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat());
            weak.map_or(Ok(()), |weak| response.insert_header(header::ETAG, weak))
        }
        _ => Ok(()),
    }
}

/// A client that holds what we have written shorter is told its own validator.
fn renew_validator(request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
    let Some(tag) = response.headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else {
        return Ok(());
    };
    let weak = [b"W/", tag.as_bytes()].concat();
    let fields = request.headers.get_all(header::IF_NONE_MATCH).iter();
    if fields.into_iter().any(|field| memchr::memmem::find(field.as_bytes(), &weak).is_some()) {
        vary(response)?;
        return weaken(response);
    }
    Ok(())
}
