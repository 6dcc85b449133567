//! The context of a trace, as W3C's Trace Context carries it in `traceparent`.

/// The id of a trace; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TraceId(u128);

/// The id of a span; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SpanId(u64);

/// Whose child a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span that sent the request.
    pub span: SpanId,
    /// Whether its sender keeps the trace.
    pub sampled: bool,
}

const SAMPLED: u8 = 1;

/// Of version 00, the only one that there is.
const LENGTH: usize = 55;

impl TraceId {
    /// An id of these bits, unless they are all 0.
    pub fn new(bits: u128) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    /// As it is sent.
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// As it is written: 32 digits.
    pub fn digits(self) -> [u8; 32] {
        let mut to = [0; 32];
        hex(self.0, &mut to);
        to
    }
}

impl SpanId {
    /// An id of these bits, unless they are all 0.
    pub fn new(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    /// As it is sent.
    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl TraceParent {
    /// Reads a field (W3C Trace Context section 3.2.2). What is not well-formed counts as absent. Of a later version, what
    /// version 00 has is read (section 3.2.4).
    pub fn parse(field: &[u8]) -> Option<Self> {
        let (version, rest) = field.split_at_checked(2)?;
        let version = number(version)?;
        if version == 0xff || (version == 0 && field.len() != LENGTH) {
            return None;
        }
        let (trace, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
        let (span, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
        let (flags, rest) = rest.strip_prefix(b"-")?.split_at_checked(2)?;
        if !rest.is_empty() && !rest.starts_with(b"-") {
            return None;
        }
        Some(Self {
            trace: TraceId::new(number(trace)?)?,
            span: SpanId::new(u64::try_from(number(span)?).ok()?)?,
            sampled: number(flags)? & u128::from(SAMPLED) != 0,
        })
    }

    /// The field, in version 00.
    pub fn field(self) -> [u8; LENGTH] {
        let mut field = *b"00-00000000000000000000000000000000-0000000000000000-00";
        if let Some(trace) = field.get_mut(3..35) {
            hex(self.trace.0, trace);
        }
        if let Some(span) = field.get_mut(36..52) {
            hex(u128::from(self.span.0), span);
        }
        if let Some(last) = field.last_mut()
            && self.sampled
        {
            *last = b'1';
        }
        field
    }
}

/// In lower case only, as the standard has it.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Fills all of `to` with the last digits.
fn hex(mut number: u128, to: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in to.iter_mut().rev() {
        *byte = DIGITS.get(usize::try_from(number & 15).unwrap_or(0)).copied().unwrap_or(b'0');
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_field_is_read_and_written_as_the_standard_has_it() {
        let read = TraceParent::parse(FIELD).unwrap();
        assert_eq!(read.trace.bytes()[..3], [0x4b, 0xf9, 0x2f]);
        assert_eq!(read.span.bytes(), [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert!(read.sampled);
        assert_eq!(read.field(), *FIELD);
        assert_eq!(read.trace.digits(), *b"4bf92f3577b34da6a3ce929d0e0e4736");
        let not = TraceParent { sampled: false, ..read };
        assert!(not.field().ends_with(b"-00") && TraceParent::parse(&not.field()) == Some(not));
    }

    #[test]
    fn what_is_not_well_formed_counts_as_absent() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01what",
            "00-4bf92f3577b34da6a3ce929d0e0e473\u{e4}-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None, "{bad}");
        }
        let later = b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what";
        assert_eq!(TraceParent::parse(later), TraceParent::parse(FIELD), "of a later version, what we know");
        let more_flags = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
        assert!(TraceParent::parse(more_flags).unwrap().sampled);
    }
}
