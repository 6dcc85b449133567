//! Frames, streams and their errors (RFC 9113 sections 4 to 6).

use super::*;

/// A stream that was reset by the client.
fn reset(peer: &mut Peer) {
    peer.begin(1);
    peer.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
}

/// A stream that has ended on both sides.
fn ended(peer: &mut Peer) {
    peer.get(1);
    peer.finish(1);
}

/// A setting (section 6.5.1).
fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()
}

#[test]
fn frames_keep_their_format() {
    run(&[
        case("4.1", "a frame of an unknown type", GoesOn, |peer| peer.send(0xEE, 0, 0, b"what")),
        case("5.5", "an unknown frame on a stream", GoesOn, |peer| {
            peer.begin(1);
            peer.send(0xEE, 0xFF, 1, b"what");
        }),
        case("4.1", "flags without a meaning", GoesOn, |peer| peer.send(PING, 0xFE, 0, &[0; 8])),
        case("4.1", "the reserved bit", GoesOn, |peer| peer.send(PING, 0, 0x8000_0000, &[0; 8])),
        case("4.2", "DATA as long as is allowed", Answer(200), |peer| {
            peer.begin(1);
            peer.send(DATA, END_STREAM, 1, &[b'x'; 16_384]);
        }),
        case("4.2", "DATA that is longer", Connection(FRAME_SIZE_ERROR), |peer| {
            peer.begin(1);
            peer.send(DATA, END_STREAM, 1, &[b'x'; 16_385]);
        }),
        case("4.2", "HEADERS that are longer", Connection(FRAME_SIZE_ERROR), |peer| {
            peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &[0; 16_385]);
        }),
        case("4.3", "a header block that cannot be decoded", Connection(COMPRESSION_ERROR), |peer| {
            peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &[0xFF; 5]);
        })
        .by_another_code(),
        case("4.3", "PRIORITY within a header block", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(HEADERS, END_STREAM, 1, &plain_get());
            peer.send(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]);
        }),
        case("4.3", "other HEADERS within a header block", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(HEADERS, END_STREAM, 1, &plain_get());
            peer.get(3);
        }),
        case("5.5", "an unknown frame within a header block", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(HEADERS, END_STREAM, 1, &plain_get());
            peer.send(0xEE, 0, 0, b"what");
        }),
    ]);
}

#[test]
fn streams_have_states() {
    run(&[
        case("5.1", "idle: DATA", Connection(PROTOCOL_ERROR), |peer| peer.send(DATA, END_STREAM, 1, b"x")),
        case("5.1", "idle: RST_STREAM", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(RST_STREAM, 0, 1, &[0; 4])
        }),
        case("5.1", "idle: WINDOW_UPDATE", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        }),
        case("5.1", "idle: CONTINUATION", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(CONTINUATION, END_HEADERS, 1, &plain_get());
        }),
        case("5.1", "idle: PRIORITY", GoesOn, |peer| peer.send(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        case("5.1", "half-closed: DATA", Connection(STREAM_CLOSED), |peer| {
            peer.get(1);
            peer.send(DATA, END_STREAM, 1, b"x");
        })
        .by_another_code(),
        case("5.1", "half-closed: HEADERS", Connection(STREAM_CLOSED), |peer| {
            peer.get(1);
            peer.get(1);
        })
        .by_another_code(),
        case("5.1", "half-closed: CONTINUATION", Connection(PROTOCOL_ERROR), |peer| {
            peer.get(1);
            peer.send(CONTINUATION, END_HEADERS, 1, &plain_get());
        }),
        case("5.1", "reset: DATA", Stream(STREAM_CLOSED), |peer| {
            reset(peer);
            peer.send(DATA, END_STREAM, 1, b"x");
        }),
        case("5.1.1", "reset: HEADERS", Connection(PROTOCOL_ERROR), |peer| {
            reset(peer);
            peer.get(1);
        }),
        case("5.1", "reset: CONTINUATION", Connection(PROTOCOL_ERROR), |peer| {
            reset(peer);
            peer.send(CONTINUATION, END_HEADERS, 1, &plain_get());
        }),
        case("5.1", "ended: HEADERS", Connection(STREAM_CLOSED), |peer| {
            ended(peer);
            peer.get(1);
        })
        .by_another_code(),
        case("5.1", "ended: CONTINUATION", Connection(PROTOCOL_ERROR), |peer| {
            ended(peer);
            peer.send(CONTINUATION, END_HEADERS, 1, &plain_get());
        }),
        case("5.1", "ended: WINDOW_UPDATE, PRIORITY and RST_STREAM", GoesOn, |peer| {
            ended(peer);
            peer.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
            peer.send(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]);
            peer.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        }),
        case("5.1.1", "an even stream", Connection(PROTOCOL_ERROR), |peer| peer.get(2)),
        case("5.1.1", "a stream below an earlier one", Connection(PROTOCOL_ERROR), |peer| {
            peer.begin(5);
            peer.get(3);
        }),
        case("5.1.1", "numbers may be left out", Answer(200), |peer| peer.get(1001)),
        case("5.1.2", "one stream too many", Stream(REFUSED_STREAM), |peer| {
            (0..=100).for_each(|n| peer.begin(2 * n + 1));
        }),
        case("5.4.1", "an error ends the connection", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(PING, 0, 1, &[0; 8]);
            peer.send(PING, 0, 0, STILL_THERE);
        }),
    ]);
}

#[test]
fn data_headers_priority_and_resets_are_judged() {
    let padded = |pad: u8, block: &[u8]| [&[pad], block, &vec![0; usize::from(pad)]].concat();
    let whole = END_STREAM | END_HEADERS;
    run(&[
        case("6.1", "DATA without a stream", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(DATA, END_STREAM, 0, b"x")
        }),
        case("6.1", "DATA on a stream that has ended", Stream(STREAM_CLOSED), |peer| {
            ended(peer);
            peer.send(DATA, END_STREAM, 1, b"x");
        }),
        case("6.1", "padding that is longer than DATA", Connection(PROTOCOL_ERROR), |peer| {
            peer.begin(1);
            peer.send(DATA, END_STREAM | PADDED, 1, &[6, b'x', 0, 0, 0, 0]);
        }),
        case("6.1", "padded DATA", Answer(200), move |peer| {
            peer.begin(1);
            peer.send(DATA, END_STREAM | PADDED, 1, &padded(5, b"x"));
        }),
        case("6.1", "DATA of padding alone", Answer(200), move |peer| {
            peer.begin(1);
            peer.send(DATA, PADDED, 1, &padded(255, b""));
            peer.send(DATA, END_STREAM, 1, b"");
        }),
        case("6.2", "HEADERS without a stream", Connection(PROTOCOL_ERROR), |peer| peer.get(0)),
        case("6.2", "padding that is longer than HEADERS", Connection(PROTOCOL_ERROR), move |peer| {
            let block = plain_get();
            let pad = u8::try_from(block.len() + 1).unwrap();
            peer.send(HEADERS, whole | PADDED, 1, &[&[pad], &block[..]].concat());
        }),
        case("6.2", "padded HEADERS", Answer(200), move |peer| {
            peer.send(HEADERS, whole | PADDED, 1, &padded(200, &plain_get()));
        }),
        case("6.2", "HEADERS with a priority", Answer(200), move |peer| {
            peer.send(HEADERS, whole | WITH_PRIORITY, 1, &[&[0x80, 0, 0, 0, 255], &plain_get()[..]].concat());
        }),
        case("6.2", "HEADERS with both", Answer(200), move |peer| {
            let block = [&[0, 0, 0, 9, 1], &plain_get()[..]].concat();
            peer.send(HEADERS, whole | WITH_PRIORITY | PADDED, 1, &padded(1, &block));
        }),
        case("6.2", "DATA within a header block", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(HEADERS, 0, 1, &plain_get());
            peer.send(DATA, END_STREAM, 1, b"x");
        }),
        case("6.3", "PRIORITY without a stream", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(PRIORITY, 0, 0, &[0, 0, 0, 0, 1]);
        }),
        case("6.3", "PRIORITY of another length", Stream(FRAME_SIZE_ERROR), |peer| {
            peer.begin(1);
            peer.send(PRIORITY, 0, 1, &[0, 0, 0, 1]);
        })
        .by_another_code(),
        case("6.4", "RST_STREAM without a stream", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(RST_STREAM, 0, 0, &[0, 0, 0, 8]);
        }),
        case("6.4", "RST_STREAM of another length", Connection(FRAME_SIZE_ERROR), |peer| {
            peer.begin(1);
            peer.send(RST_STREAM, 0, 1, &[0, 0, 8]);
        })
        .by_another_code(),
        case("6.4", "RST_STREAM with a code that nobody knows", GoesOn, |peer| {
            peer.begin(1);
            peer.send(RST_STREAM, 0, 1, &[0xEE; 4]);
        }),
        case("6.6", "PUSH_PROMISE by a client", Connection(PROTOCOL_ERROR), |peer| {
            peer.begin(1);
            peer.send(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &plain_get()[..]].concat());
        }),
    ]);
}

#[test]
fn settings_pings_and_farewells_are_judged() {
    run(&[
        case("6.5", "an acknowledgement with a payload", Connection(FRAME_SIZE_ERROR), |peer| {
            peer.send(SETTINGS, ACK, 0, &setting(3, 1));
        })
        .by_another_code(),
        case("6.5", "SETTINGS on a stream", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(SETTINGS, 0, 1, &setting(3, 1));
        }),
        case("6.5", "SETTINGS of another length", Connection(FRAME_SIZE_ERROR), |peer| {
            peer.send(SETTINGS, 0, 0, &[0, 3, 0]);
        })
        .by_another_code(),
        case("6.5.2", "ENABLE_PUSH that is no truth value", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(SETTINGS, 0, 0, &setting(2, 2));
        }),
        case("6.5.2", "a window beyond the largest", Connection(FLOW_CONTROL_ERROR), |peer| {
            peer.send(SETTINGS, 0, 0, &setting(4, 1 << 31));
        })
        .by_another_code(),
        case("6.5.2", "frames below the smallest", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(SETTINGS, 0, 0, &setting(5, 16_383));
        }),
        case("6.5.2", "frames beyond the largest", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(SETTINGS, 0, 0, &setting(5, 1 << 24));
        }),
        case("6.5.2", "an unknown setting", GoesOn, |peer| peer.send(SETTINGS, 0, 0, &setting(0xEE, 1))),
        case("6.7", "PING on a stream", Connection(PROTOCOL_ERROR), |peer| peer.send(PING, 0, 1, &[0; 8])),
        case("6.7", "PING of another length", Connection(FRAME_SIZE_ERROR), |peer| {
            peer.send(PING, 0, 0, &[0; 6])
        })
        .by_another_code(),
        case("6.7", "an answer to no PING", GoesOn, |peer| peer.send(PING, ACK, 0, &[0; 8])),
        case("6.8", "GOAWAY on a stream", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(GOAWAY, 0, 1, &[0; 8])
        }),
        case("6.10", "CONTINUATION", Answer(200), |peer| {
            let block = plain_get();
            peer.send(HEADERS, END_STREAM, 1, &block[..2]);
            peer.send(CONTINUATION, 0, 1, &block[2..5]);
            peer.send(CONTINUATION, 0, 1, &[]);
            peer.send(CONTINUATION, END_HEADERS, 1, &block[5..]);
        }),
        case("6.10", "PING behind CONTINUATION", Connection(PROTOCOL_ERROR), |peer| {
            let block = plain_get();
            peer.send(HEADERS, END_STREAM, 1, &block[..2]);
            peer.send(CONTINUATION, 0, 1, &block[2..]);
            peer.send(PING, 0, 0, &[0; 8]);
        }),
        case("6.10", "CONTINUATION without a stream", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(HEADERS, END_STREAM, 1, &plain_get());
            peer.send(CONTINUATION, END_HEADERS, 0, &[]);
        }),
        case("6.10", "CONTINUATION of another stream", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(HEADERS, END_STREAM, 1, &plain_get());
            peer.send(CONTINUATION, END_HEADERS, 3, &[]);
        }),
        case("6.10", "CONTINUATION behind whole HEADERS", Connection(PROTOCOL_ERROR), |peer| {
            peer.begin(1);
            peer.send(CONTINUATION, END_HEADERS, 1, &field("x", "y"));
        }),
        case("6.10", "CONTINUATION behind the last one", Connection(PROTOCOL_ERROR), |peer| {
            peer.send(HEADERS, 0, 1, &plain_post());
            peer.send(CONTINUATION, END_HEADERS, 1, &[]);
            peer.send(CONTINUATION, END_HEADERS, 1, &field("x", "y"));
        }),
        case("6.10", "CONTINUATION behind DATA", Connection(PROTOCOL_ERROR), |peer| {
            peer.begin(1);
            peer.send(DATA, 0, 1, b"x");
            peer.send(CONTINUATION, END_HEADERS, 1, &field("x", "y"));
        }),
    ]);
}

/// Sections 3.4, 6.5.3 and 6.7.
#[test]
fn settings_come_first_and_are_acknowledged_as_pings_are() {
    let apps = apps(1);
    let balancer = Balancer::start(&apps, SHARED, "    http2: { cleartext: true }\n", "");
    let mut peer = Peer::bare(balancer.address, None);
    peer.send(SETTINGS, 0, 0, &setting(4, 100_000));
    let first = peer.next().unwrap();
    assert_eq!((first.kind, first.flags, first.stream), (SETTINGS, 0, 0), "{first:?}");
    let ids: Vec<_> = first.payload.chunks(6).map(|chunk| u16::from_be_bytes([chunk[0], chunk[1]])).collect();
    assert!([3, 4, 6].iter().all(|id| ids.contains(id)), "streams, window and header list are said: {ids:?}");
    let next = |peer: &mut Peer, kind| loop {
        let frame = peer.next().unwrap();
        if frame.kind == kind {
            return frame;
        }
    };
    let acknowledged = next(&mut peer, SETTINGS);
    assert_eq!((acknowledged.flags, acknowledged.payload.len()), (ACK, 0));
    peer.send(PING, 0, 0, b"mirrored");
    let mirrored = next(&mut peer, PING);
    assert_eq!((mirrored.flags, &mirrored.payload[..]), (ACK, &b"mirrored"[..]));
}

/// Section 3.4: whoever speaks something else is sent away; in cleartext that is a request of HTTP/1.1, and no valid one.
#[test]
fn another_preface_is_no_http_2() {
    let (apps, authority) = (apps(1), Authority::new());
    let site = authority.issue("site", &["app.test"], "site");
    let clear = Balancer::start(&apps, SHARED, "    http2: { cleartext: true }\n", "");
    let tls = Balancer::start(&apps, SHARED, &format!("    tls: {{ certificates: [ {{ {site} }} ] }}\n"), "");
    let said = |mut stream: Box<dyn Both>| {
        stream.write_all(b"INVALID CONNECTION PREFACE\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        // It may end in a reset.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    };
    let tcp = TcpStream::connect(clear.address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(said(Box::new(tcp)).starts_with(b"HTTP/1.1 400 "));
    let client = Arc::new(authority.client(&["h2"], None));
    let bytes = said(Box::new(connect(tls.address, "app.test", &client).unwrap()));
    // Our settings, and no more: GOAWAY may be left out.
    assert!(bytes.is_empty() || (bytes[3] == SETTINGS && bytes.len() == 9 + usize::from(bytes[2])));
}
