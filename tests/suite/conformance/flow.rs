//! Flow control (RFC 9113 sections 5.2 and 6.9).

use super::*;
use crate::support::balancer::configuration;

fn window(peer: &mut Peer, size: u32) {
    peer.send(SETTINGS, 0, 0, &[&[0, 4][..], &size.to_be_bytes()[..]].concat());
}

fn update(peer: &mut Peer, stream: u32, more: u32) {
    peer.send(WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
}

#[test]
fn updates_are_judged() {
    run(&[
        case("6.9", "no more, for the connection", Connection(PROTOCOL_ERROR), |peer| update(peer, 0, 0)),
        case("6.9", "no more, for a stream", Connection(PROTOCOL_ERROR), |peer| {
            peer.begin(1);
            update(peer, 1, 0);
        }),
        case("6.9", "another length", Connection(FRAME_SIZE_ERROR), |peer| {
            peer.send(WINDOW_UPDATE, 0, 0, &[0, 0, 1]);
        })
        .by_another_code(),
        case(
            "6.9.1",
            "beyond the largest window, for the connection",
            Connection(FLOW_CONTROL_ERROR),
            |peer| {
                update(peer, 0, 0x7FFF_FFFF);
                update(peer, 0, 0x7FFF_FFFF);
            },
        ),
        case("6.9.1", "beyond the largest window, for a stream", Stream(FLOW_CONTROL_ERROR), |peer| {
            peer.begin(1);
            update(peer, 1, 0x7FFF_FFFF);
            update(peer, 1, 0x7FFF_FFFF);
        }),
        case(
            "6.9.2",
            "settings that take a stream's window beyond it",
            Connection(FLOW_CONTROL_ERROR),
            |peer| {
                peer.begin(1);
                update(peer, 1, 0x7FFF_0000);
                window(peer, 0x7FFF_FFFF);
            },
        ),
    ]);
}

/// The lengths of DATA that come until this many bytes have.
fn lengths(peer: &mut Peer, all: usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    while lengths.iter().sum::<usize>() < all {
        let frame = peer.next().unwrap_or_else(|| panic!("only {lengths:?}"));
        if frame.kind == DATA {
            lengths.push(frame.payload.len());
        }
    }
    lengths
}

/// Nothing but this: a PING is answered first.
fn nothing_comes(peer: &mut Peer) {
    for _ in 0..2 {
        peer.send(PING, 0, 0, STILL_THERE);
        loop {
            let frame = peer.next().unwrap();
            assert_ne!(
                frame.kind,
                DATA,
                "{} bytes come that the window has no room for",
                frame.payload.len()
            );
            if frame.kind == PING {
                break;
            }
        }
    }
}

/// Sections 6.9.1 and 6.9.2.
#[test]
fn no_more_is_sent_than_the_window_has_room_for() {
    let apps = apps(1);
    let balancer = Balancer::start(&apps, SHARED, "    http2: { cleartext: true }\n", "");
    // `server=app1 body=0`
    let all = 18;
    let mut peer = Peer::open(balancer.address, None);
    window(&mut peer, 1);
    peer.get(1);
    assert_eq!(lengths(&mut peer, 1), [1]);
    nothing_comes(&mut peer);
    update(&mut peer, 1, 2);
    assert_eq!(lengths(&mut peer, 2), [2]);
    nothing_comes(&mut peer);
    // New settings count for streams that are open, and the last of two values counts (section 6.5.3).
    peer.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 9, 0, 4, 0, 0, 0, 4]);
    assert_eq!(lengths(&mut peer, 3), [3]);
    nothing_comes(&mut peer);
    // A window may become negative: so many bytes are owed.
    window(&mut peer, 2);
    update(&mut peer, 1, 2);
    nothing_comes(&mut peer);
    update(&mut peer, 1, 1);
    assert_eq!(lengths(&mut peer, 1), [1]);
    window(&mut peer, 100);
    assert_eq!(lengths(&mut peer, all - 7), [all - 7]);
    // The connection's window holds for all streams together.
    let mut peer = Peer::open(balancer.address, None);
    window(&mut peer, 1 << 20);
    let mut block = plain_get();
    block.splice(2..10, [&[0x04, 5][..], b"/leaf"].concat());
    peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &block);
    lengths(&mut peer, 65_535);
    nothing_comes(&mut peer);
    peer.get(3);
    nothing_comes(&mut peer);
    update(&mut peer, 0, 1 << 20);
    lengths(&mut peer, (300 << 10) - 65_535);
}

/// Section 6.9.1: who sends more than our window has room for is not read on.
#[test]
fn more_than_there_is_room_for_is_an_error() {
    // It answers nothing, and reads nothing.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let backends = format!("    backends: [ {{ id: deaf, address: \"{}\" }} ]\n", deaf.local_addr().unwrap());
    let text = configuration(&[], SHARED, "    http2: { cleartext: true }\n", "")
        .replace("    backends: [  ]\n", &backends);
    let balancer = Balancer::configured(&text);
    let mut peer = Peer::open(balancer.address, None);
    peer.begin(1);
    let sent = (0..4096).find(|_| peer.0.write_all(&frame(DATA, 0, 1, &[b'x'; 16_384])).is_err());
    let outcome = peer.outcome(Closed);
    let judged = [Stream(FLOW_CONTROL_ERROR), Connection(FLOW_CONTROL_ERROR)].contains(&outcome);
    // Its last word may be lost where we were sending on.
    assert!(judged || sent.is_some() && outcome == Closed, "{sent:?} {outcome:?}");
}
