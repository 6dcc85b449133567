//! Field compression (RFC 7541).

use super::*;

/// A request whose header block ends with these bytes.
fn ending(bytes: &'static [u8]) -> impl Fn(&mut Peer) {
    move |peer| peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &[&plain_get()[..], bytes].concat())
}

/// A request whose header block begins with these bytes.
fn beginning(bytes: &'static [u8]) -> impl Fn(&mut Peer) {
    move |peer| peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &[bytes, &plain_get()[..]].concat())
}

#[test]
fn every_representation_is_understood() {
    run(&[
        case("2.3.1", "an index of the static table", Answer(200), ending(&[0x90])),
        case("6.2.1", "a literal for the table, its name in the table", Answer(200), ending(b"\x53\x04text")),
        case("6.2.1", "a literal for the table", Answer(200), ending(b"\x40\x04x-it\x02is")),
        case("6.2.2", "a literal, its name in the table", Answer(200), ending(b"\x0F\x04\x04text")),
        case("6.2.2", "a literal", Answer(200), ending(b"\x00\x04x-it\x02is")),
        case(
            "6.2.3",
            "a literal for no table, its name in the table",
            Answer(200),
            ending(b"\x1F\x04\x04text"),
        ),
        case("6.2.3", "a literal for no table", Answer(200), ending(b"\x10\x04x-it\x02is")),
        // `www.example.com` (appendix C.4.1).
        case(
            "5.2",
            "Huffman",
            Answer(200),
            ending(b"\x00\x01x\x8C\xF1\xE3\xC2\xE5\xF2\x3A\x6B\xA0\xAB\x90\xF4\xFF"),
        ),
        case("2.3.3", "an index of the dynamic table", Answer(200), |peer| {
            peer.send(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&plain_get()[..], b"\x40\x04x-it\x02is"].concat(),
            );
            peer.finish(1);
            peer.send(HEADERS, END_STREAM | END_HEADERS, 3, &[&plain_get()[..], &[0xBE]].concat());
        }),
        case("5.1", "a number of several bytes, not in its shortest form", Answer(200), |peer| {
            // 127 and nothing.
            let block = [&plain_get()[..], b"\x00\x01x\x7F\x80\x00", &[b'o'; 127]].concat();
            peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &block);
        }),
        case(
            "4.2",
            "a smaller table, and a larger one again",
            Answer(200),
            beginning(&[0x20, 0x3F, 0xE1, 0x1F]),
        ),
        case("4.4", "a field that is larger than the table", Answer(200), |peer| {
            let block = [&[0x20][..], &plain_get(), b"\x40\x04x-it\x02is"].concat();
            peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &block);
        }),
    ]);
}

#[test]
fn what_cannot_be_decoded_ends_the_connection() {
    let error = Connection(COMPRESSION_ERROR);
    let cases = [
        case("2.3.3", "an index beyond the tables", error, ending(&[0xC6])),
        case("2.3.3", "a name beyond the tables", error, ending(b"\x7F\x10\x04text")),
        case("2.3.3", "an entry that was evicted", error, |peer| {
            peer.send(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&plain_get()[..], b"\x40\x04x-it\x02is"].concat(),
            );
            peer.finish(1);
            peer.send(
                HEADERS,
                END_STREAM | END_HEADERS,
                3,
                &[&[0x20, 0x3F, 0xE1, 0x1F], &plain_get()[..], &[0xBE]].concat(),
            );
        }),
        case("4.2", "a new size behind the fields", error, ending(&[0x20])),
        case(
            "5.1",
            "a number without an end",
            error,
            ending(&[0xFF, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
        ),
        case("5.2", "a string that is cut off", error, ending(b"\x00\x04x-it\x09is")),
        case("5.2", "more padding than 7 bits", error, ending(b"\x00\x01x\x84\x1F\xFF\xFF\xFF")),
        case("5.2", "padding of zeros", error, ending(b"\x00\x01x\x81\x18")),
        case("5.2", "the end of a string within it", error, ending(b"\x00\x01x\x84\xFF\xFF\xFF\xFC")),
        case("6.1", "index 0", error, ending(&[0x80])),
        case("6.3", "a table beyond what we allow", error, beginning(&[0x3F, 0xE2, 0x1F])),
    ];
    run(&cases.map(Case::by_another_code));
}
