//! Where a chunked body ends (RFC 9112 section 7.1), strictly: CRLF and nothing else ends a line, sizes are
//! hexadecimal and small enough, and no control character hides in an extension or a trailer.
//!
//! Only finds the end; the bytes go on as they are.

use super::head::is_token;

/// Longest chunk-size line, with its extensions.
const MAX_SIZE_LINE: u32 = 4096;
/// Longest trailer section.
const MAX_TRAILERS: u32 = 16 * 1024;

/// A chunked body that is being passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunked {
    state: State,
    /// Bytes left in the chunk, or of its size so far.
    size: u64,
    /// Bytes of the line or the trailer section so far.
    line: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    SizeFirst,
    Size,
    /// Blanks behind a size: an extension follows, or nothing.
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// The body's framing is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body's chunks are not as RFC 9112 section 7.1 has them")]
pub struct BadChunk;

impl Default for Chunked {
    fn default() -> Self {
        Self { state: State::SizeFirst, size: 0, line: 0 }
    }
}

impl Chunked {
    /// Whether the body has ended.
    pub fn ended(&self) -> bool {
        self.state == State::End
    }

    /// Follows `bytes`; gives how many of them belong to the body.
    ///
    /// # Errors
    /// The framing is broken: nothing after this point can be trusted.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        while self.state != State::End {
            if self.state == State::Data {
                let here = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX).min(self.size);
                self.size -= here;
                at += usize::try_from(here).unwrap_or(0);
                if self.size > 0 {
                    return Ok(at);
                }
                self.state = State::DataCr;
            }
            let Some(byte) = bytes.get(at) else { return Ok(at) };
            at += 1;
            self.state = self.step(*byte)?;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        match (self.state, byte) {
            (State::SizeFirst | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(BadChunk)?;
                // 2^60 bytes are more than anybody sends; more digits are an attack on the counter.
                if self.size >> 56 != 0 {
                    return Err(BadChunk);
                }
                self.size = self.size << 4 | u64::from(digit);
                self.lengthen(MAX_SIZE_LINE)?;
                Ok(State::Size)
            }
            (State::Size | State::Blank | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size | State::Blank, b' ' | b'\t') => {
                self.lengthen(MAX_SIZE_LINE)?;
                Ok(State::Blank)
            }
            (State::Size | State::Blank, b';') | (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.lengthen(MAX_SIZE_LINE)?;
                Ok(State::Extension)
            }
            (State::SizeLf, b'\n') => {
                self.line = 0;
                Ok(if self.size == 0 { State::TrailerStart } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::SizeFirst),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => {
                self.lengthen(MAX_TRAILERS)?;
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') | (State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.lengthen(MAX_TRAILERS)?;
                Ok(State::Trailer)
            }
            (State::Trailer, b'\r') => Ok(State::TrailerLf),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::End),
            _ => Err(BadChunk),
        }
    }

    fn lengthen(&mut self, limit: u32) -> Result<(), BadChunk> {
        self.line += 1;
        if self.line > limit { Err(BadChunk) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn follow(body: &[u8]) -> Result<(usize, bool), BadChunk> {
        let mut chunked = Chunked::default();
        chunked.follow(body).map(|at| (at, chunked.ended()))
    }

    #[test]
    fn the_end_is_found_and_what_follows_is_left() {
        assert_eq!(follow(b"0\r\n\r\nGET"), Ok((5, true)));
        assert_eq!(follow(b"3\r\nabc\r\n0\r\n\r\n"), Ok((13, true)));
        assert_eq!(follow(b"a;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nrest"), Ok((38, true)));
        assert_eq!(follow(b"3\r\nab"), Ok((5, false)));
    }

    #[test]
    fn broken_framing_is_refused() {
        let bad: &[&[u8]] = &[
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b";\r\n",
            b"1\na\r\n",
            b"1\r\na\n",
            b"1\r\nab\r\n",
            b"1\r\na\rb",
            b"1\r\r\n",
            b"1;\0\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            b"11111111111111111\r\n",
            b"1;a\rb\r\n",
            b"1 1\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
            b"0\r\nA: b\r\n c\r\n\r\n",
        ];
        for body in bad {
            assert_eq!(follow(body), Err(BadChunk), "{}", body.escape_ascii());
        }
        assert_eq!(follow(&[&b"1;"[..], &[b'a'; 5000]].concat()), Err(BadChunk), "an endless extension");
    }

    proptest! {
        #[test]
        fn cutting_makes_no_difference(cuts in proptest::collection::vec(1_usize..5, 0..40)) {
            let body = b"5;n=v\r\nhello\r\n1F\r\n0123456789012345678901234567890\r\n0\r\nT: x\r\n\r\nNEXT";
            let mut chunked = Chunked::default();
            let (mut at, mut total) = (0, 0);
            for cut in cuts.into_iter().chain([body.len()]) {
                let end = (at + cut).min(body.len());
                total += chunked.follow(&body[at..end]).unwrap();
                at = end;
            }
            prop_assert!(chunked.ended());
            prop_assert_eq!(total, body.len() - 4);
        }
    }
}
