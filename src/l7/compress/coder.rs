//! The work itself, piece by piece: bytes in, bytes out, within bounds of memory.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::snapshot::{Coding, CodingPlace};

/// What one piece may become: a body that is written out can be a thousand times as long as it was.
const MOST_BYTES: usize = 8 << 20;
/// Windows of 256 KiB, as a power of two: what both sides have to keep.
const WINDOW: u32 = 18;

/// A body on its way from one way of writing to another.
pub(crate) struct Coder {
    work: Box<dyn Work>,
    out: Sink,
    /// Whether each piece is passed on at once.
    streams: bool,
    _place: CodingPlace,
}

/// Where coders write to: taken after each piece.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = self.0.lock();
        if out.len() + bytes.len() > MOST_BYTES {
            return Err(io::Error::other("a piece of the body grows beyond all measure"));
        }
        out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What each kind of coder can do.
trait Work: Write + Send + Sync {
    fn finish(&mut self) -> io::Result<()>;
}

impl Work for flate2::write::GzEncoder<Sink> {
    fn finish(&mut self) -> io::Result<()> {
        self.try_finish()
    }
}

impl Work for flate2::write::MultiGzDecoder<Sink> {
    fn finish(&mut self) -> io::Result<()> {
        self.try_finish()
    }
}

impl Work for zstd::stream::write::Encoder<'static, Sink> {
    fn finish(&mut self) -> io::Result<()> {
        self.do_finish()
    }
}

impl Work for zstd::stream::write::Decoder<'static, Sink> {
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Brotli ends its stream when its writer is dropped.
struct Brotli(Option<Box<brotli::CompressorWriter<Sink>>>);

impl Write for Brotli {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(bytes.len()), |writer| writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), |writer| writer.flush())
    }
}

impl Work for Brotli {
    fn finish(&mut self) -> io::Result<()> {
        self.0 = None;
        Ok(())
    }
}

impl Work for brotli::DecompressorWriter<Sink> {
    fn finish(&mut self) -> io::Result<()> {
        self.close()
    }
}

impl Coder {
    /// Writes a body shorter.
    pub(super) fn to(coding: Coding, level: u32, place: CodingPlace) -> io::Result<Self> {
        let out = Sink::default();
        let work: Box<dyn Work> = match coding {
            Coding::Gzip => {
                Box::new(flate2::write::GzEncoder::new(out.clone(), flate2::Compression::new(level)))
            }
            Coding::Brotli => Box::new(Brotli(Some(Box::new(brotli::CompressorWriter::new(
                out.clone(),
                4096,
                level,
                WINDOW,
            ))))),
            Coding::Zstd => {
                let mut encoder =
                    zstd::stream::write::Encoder::new(out.clone(), i32::try_from(level).unwrap_or(3))?;
                encoder.window_log(WINDOW)?;
                Box::new(encoder)
            }
        };
        Ok(Self { work, out, streams: false, _place: place })
    }

    /// Writes a body out.
    pub(super) fn from(coding: Coding, place: CodingPlace) -> io::Result<Self> {
        let out = Sink::default();
        let work: Box<dyn Work> = match coding {
            Coding::Gzip => Box::new(flate2::write::MultiGzDecoder::new(out.clone())),
            Coding::Brotli => Box::new(brotli::DecompressorWriter::new(out.clone(), 4096)),
            Coding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(out.clone())?;
                // RFC 9659: what a client of HTTP has to bear.
                decoder.window_log_max(23)?;
                Box::new(decoder)
            }
        };
        Ok(Self { work, out, streams: true, _place: place })
    }

    /// With each piece passed on at once, where nobody knows when the next one comes.
    pub(super) fn streaming(mut self, streams: bool) -> Self {
        self.streams |= streams;
        self
    }

    /// What a piece becomes.
    pub(super) fn pass(&mut self, piece: &[u8], end: bool) -> io::Result<Bytes> {
        if !piece.is_empty() {
            self.work.write_all(piece)?;
        }
        if end {
            self.work.finish()?;
        } else if self.streams && !piece.is_empty() {
            self.work.flush()?;
        }
        Ok(std::mem::take(&mut *self.out.0.lock()).into())
    }
}
