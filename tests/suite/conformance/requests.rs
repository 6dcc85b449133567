//! Requests as RFC 9113 section 8 has them.

use super::*;

/// Pseudo-header fields of a request, but the named one.
fn without(missing: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/plain"), (":authority", "app.test")];
    fields.iter().filter(|(name, _)| *name != missing).flat_map(|(name, value)| field(name, value)).collect()
}

/// A request with one more field.
fn with(name: &'static str, value: &'static str) -> impl Fn(&mut Peer) {
    move |peer| {
        let block = [plain_get(), field(name, value)].concat();
        peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &block);
    }
}

fn head(block: Vec<u8>) -> impl Fn(&mut Peer) {
    move |peer| peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &block)
}

/// A request with a body in two frames, and a length that it says.
fn posted(length: &'static str) -> impl Fn(&mut Peer) {
    move |peer| {
        let block = [plain_post(), field("content-length", length)].concat();
        peer.send(HEADERS, END_HEADERS, 1, &block);
        peer.send(DATA, 0, 1, b"some");
        peer.send(DATA, END_STREAM, 1, b" of it");
    }
}

#[test]
fn every_kind_of_request_is_answered() {
    let method = |name: &str| [field(":method", name), plain_get().split_off(1)].concat();
    let trailers = |block: Vec<u8>, flags: u8| {
        move |peer: &mut Peer| {
            peer.begin(1);
            peer.send(DATA, 0, 1, b"some");
            peer.send(HEADERS, flags | END_HEADERS, 1, &block);
        }
    };
    run(&[
        case("8.1", "GET", Answer(200), |peer| peer.get(1)),
        case("8.1", "HEAD", Answer(200), head(method("HEAD"))),
        case("8.1", "OPTIONS", Answer(200), head(method("OPTIONS"))),
        case("8.1", "DELETE", Answer(200), head(method("DELETE"))),
        case("8.1", "POST in two frames", Answer(200), posted("10")),
        case("8.1", "POST without a body", Answer(200), head(plain_post())),
        case("8.1", "trailers", Answer(200), trailers(field("x-sum", "1"), END_STREAM)),
        case(
            "8.1",
            "trailers that do not end the stream",
            Stream(PROTOCOL_ERROR),
            trailers(field("x-sum", "1"), 0),
        ),
        case(
            "8.3",
            "pseudo-header fields in trailers",
            Stream(PROTOCOL_ERROR),
            trailers(field(":method", "GET"), END_STREAM),
        )
        .differs_by(Answer(200)),
        case("8.2.2", "te: trailers", Answer(200), with("te", "trailers")),
    ]);
}

#[test]
fn malformed_requests_are_none() {
    // An error of the stream, or of the connection (section 5.4.1), or 400 (section 8.1.1).
    let (malformed, ends) = (Stream(PROTOCOL_ERROR), Connection(PROTOCOL_ERROR));
    let twice = |name: &str| [without(""), field(name, "GET")].concat();
    run(&[
        case("8.1.1", "a body that is longer than it says", malformed, posted("9")),
        case("8.1.1", "a body that is shorter", malformed, posted("11")),
        case(
            "8.1.1",
            "no body where one is said",
            malformed,
            head([plain_post(), field("content-length", "1")].concat()),
        ),
        case("8.1.1", "two lengths", malformed, with("content-length", "1, 2")),
        case("8.2", "a name in upper case", ends, with("X-Test", "ok")),
        case("8.2.1", "a blank in a name", ends, with("x test", "ok")),
        case("8.2.1", "a control character in a name", ends, with("x\x01test", "ok")),
        case("8.2.1", "a colon in a name", ends, with("x:test", "ok")),
        case("8.2.1", "a name of nothing", ends, with("", "ok")),
        case("8.2.1", "a name beyond ASCII", ends, with("x-\u{e9}", "ok")),
        case("8.2.1", "NUL in a value", ends, with("x-test", "o\0k")),
        case("8.2.1", "LF in a value", ends, with("x-test", "o\nk")),
        case("8.2.1", "CR in a value", ends, with("x-test", "o\rk")),
        case("8.2.1", "a blank before a value", Answer(400), with("x-test", " ok")),
        case("8.2.1", "a tab behind a value", Answer(400), with("x-test", "ok\t")),
        case("8.2.2", "connection", malformed, with("connection", "close")),
        case("8.2.2", "proxy-connection", malformed, with("proxy-connection", "keep-alive")),
        case("8.2.2", "keep-alive", malformed, with("keep-alive", "timeout=5")),
        case("8.2.2", "transfer-encoding", malformed, with("transfer-encoding", "chunked")),
        case("8.2.2", "upgrade", malformed, with("upgrade", "h2c")),
        case("8.2.2", "te: gzip", malformed, with("te", "trailers, gzip")),
        case(
            "8.3",
            "an unknown pseudo-header field",
            ends,
            head([without(""), field(":test", "ok")].concat()),
        ),
        case("8.3", "one of responses", malformed, head([without(""), field(":status", "200")].concat())),
        case(
            "8.3",
            "one behind other fields",
            malformed,
            head([without(":method"), field("x", "y"), field(":method", "GET")].concat()),
        ),
        case("8.3.1", "an empty path", malformed, head([without(":path"), field(":path", "")].concat())),
        case(
            "8.3.1",
            "a path that is none",
            malformed,
            head([without(":path"), field(":path", "plain")].concat()),
        ),
        case("8.3.1", "no method", malformed, head(without(":method"))),
        case("8.3.1", "no scheme", malformed, head(without(":scheme"))),
        case("8.3.1", "no path", malformed, head(without(":path"))),
        case("8.3.1", "two methods", malformed, head(twice(":method"))),
        case("8.3.1", "two schemes", malformed, head(twice(":scheme"))),
        case("8.3.1", "two paths", malformed, head(twice(":path"))),
        case("8.3.1", "two authorities", malformed, head(twice(":authority"))),
        case("8.3.1", "nothing that names a server", Answer(400), head(without(":authority"))),
        case(
            "8.3.1",
            "user information",
            Answer(400),
            head([without(":authority"), field(":authority", "user@app.test")].concat()),
        ),
        case("8.3.1", "another server in Host", Answer(400), with("host", "other.test")),
    ]);
}
