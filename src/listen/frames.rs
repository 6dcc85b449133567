//! The frames of an HTTP/2 connection, counted by their heads as they pass: what a client may send without end and
//! without asking for anything is bounded.
//!
//! The parser behind it bounds memory: streams, header lists, continuations, pending resets. What is bounded here is work:
//! pings, settings, priorities, window updates, unknown and empty frames, and streams that are opened to be reset
//! (CVE-2023-44487).

/// A frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;
/// The client's preface (section 3.4).
const PREFACE: usize = 24;

/// Frames that ask for nothing, at once and then each second. A client that measures the path to us pings once in
/// each round trip, so in a data centre there are thousands.
const CONTROL: Rate = Rate { burst: 10_000, each_second: 10_000 };
/// Streams that the client resets, at once and then each second. Who leaves a page resets as many as may be open.
const RESETS: Rate = Rate { burst: 500, each_second: 100 };
/// Bytes that we sent for which one window update more is fair.
const SENT_PER_UPDATE: usize = 256;

/// The client floods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Flood {
    /// Frames that ask for nothing.
    #[error("too many frames that ask for nothing")]
    Control,
    /// Streams that are opened to be reset.
    #[error("too many streams were reset")]
    Resets,
}

/// Follows the frames of one connection.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head so far.
    filled: usize,
    /// Bytes to pass over: of the preface, or of a payload.
    skip: usize,
    control: Bucket,
    resets: Bucket,
    /// Bytes that we sent and that no window update was set against yet.
    sent: usize,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    each_second: u32,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u32,
    at_ms: u64,
}

impl Frames {
    /// From the preface on; `now_ms` on any clock that never goes back.
    pub(super) fn new(now_ms: u64) -> Self {
        let bucket = |rate: Rate| Bucket { left: rate.burst, at_ms: now_ms };
        Self {
            head: [0; HEAD],
            filled: 0,
            skip: PREFACE,
            control: bucket(CONTROL),
            resets: bucket(RESETS),
            sent: 0,
        }
    }

    /// Follows bytes that came in.
    ///
    /// # Errors
    /// The client floods: the connection is to be closed.
    pub(super) fn follow(&mut self, mut bytes: &[u8], now_ms: impl Fn() -> u64) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            let wanted = (HEAD - self.filled).min(bytes.len());
            let (part, rest) = bytes.split_at(wanted);
            if let Some(head) = self.head.get_mut(self.filled..self.filled + wanted) {
                head.copy_from_slice(part);
            }
            (self.filled, bytes) = (self.filled + wanted, rest);
            if self.filled == HEAD {
                self.filled = 0;
                self.frame(&now_ms)?;
            }
        }
        Ok(())
    }

    /// Notes bytes that went out.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    fn frame(&mut self, now_ms: &impl Fn() -> u64) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.head;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        match kind {
            // DATA with nothing in it, not even the end.
            0 if self.skip == 0 && flags & 1 == 0 => {}
            0 | 1 => return Ok(()),
            3 => return self.resets.take(RESETS, now_ms()).then_some(()).ok_or(Flood::Resets),
            8 if self.sent >= SENT_PER_UPDATE => {
                self.sent -= SENT_PER_UPDATE;
                return Ok(());
            }
            _ => {}
        }
        self.control.take(CONTROL, now_ms()).then_some(()).ok_or(Flood::Control)
    }
}

impl Bucket {
    fn take(&mut self, rate: Rate, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        let refill = passed_ms.saturating_mul(u64::from(rate.each_second)) / 1000;
        if refill > 0 {
            self.left = u32::try_from(refill).unwrap_or(u32::MAX).saturating_add(self.left).min(rate.burst);
            self.at_ms = now_ms;
        }
        let taken = self.left.checked_sub(1);
        self.left = taken.unwrap_or(0);
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD + payload, 0xAA);
        frame
    }

    fn preface() -> Frames {
        let mut frames = Frames::new(0);
        frames.follow(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", || 0).unwrap();
        frames
    }

    /// How many frames pass at one moment.
    fn passes(frame: &[u8]) -> usize {
        let mut frames = preface();
        (0..100_000).find(|_| frames.follow(frame, || 0).is_err()).unwrap_or(100_000)
    }

    #[test]
    fn floods_are_bounded_and_work_is_not() {
        for (name, flood) in [
            ("PING", frame(6, 0, 8)),
            ("SETTINGS", frame(4, 0, 0)),
            ("PRIORITY", frame(2, 0, 5)),
            ("empty DATA", frame(0, 0, 0)),
            ("WINDOW_UPDATE", frame(8, 0, 4)),
            ("CONTINUATION", frame(9, 0, 0)),
            ("unknown", frame(0xEE, 0, 1)),
        ] {
            assert_eq!(passes(&flood), 10_000, "{name}");
        }
        assert_eq!(passes(&frame(3, 0, 4)), 500, "RST_STREAM");
        assert_eq!(passes(&frame(0, 0, 1)), 100_000, "DATA");
        assert_eq!(passes(&frame(0, 1, 0)), 100_000, "the end of a body");
        assert_eq!(passes(&frame(1, 5, 30)), 100_000, "HEADERS");
    }

    #[test]
    fn time_and_what_we_send_make_room() {
        let mut frames = preface();
        let reset = frame(3, 0, 4);
        (0..500).for_each(|_| frames.follow(&reset, || 0).unwrap());
        assert_eq!(frames.follow(&reset, || 9), Err(Flood::Resets));
        assert_eq!(frames.follow(&reset, || 10), Ok(()));
        // A long download at full speed.
        for _ in 0..100_000 {
            frames.sent(16 * 1024);
            frames.follow(&frame(8, 0, 4), || 10).unwrap();
        }
    }

    proptest! {
        #[test]
        fn cutting_makes_no_difference(cuts in proptest::collection::vec(1_usize..40, 0..60)) {
            let bytes: Vec<u8> = (0..600).flat_map(|at| frame(if at % 2 == 0 { 3 } else { 0 }, 0, at % 30)).collect();
            let mut whole = preface();
            whole.follow(&bytes, || 0).unwrap();
            let (mut cut, mut rest) = (preface(), &bytes[..]);
            for length in cuts.into_iter().chain([bytes.len()]) {
                let (part, after) = rest.split_at(length.min(rest.len()));
                cut.follow(part, || 0).unwrap();
                rest = after;
            }
            prop_assert_eq!((whole.resets.left, whole.control.left), (cut.resets.left, cut.control.left));
        }
    }
}
