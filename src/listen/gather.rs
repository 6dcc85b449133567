//! A request's body that is read before the application sees the request: to a limit in memory, beyond that in a file.
//!
//! A slow client then holds nothing but its own connection. What does not fit is passed on as it comes.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::budget::{Budget, Share};
use super::stream::ClientStream;

/// What is read at once.
const STEP: usize = 16 * 1024;

/// Where request bodies are gathered.
#[derive(Debug)]
pub struct Gathering {
    /// Bytes of one body in memory.
    pub memory: usize,
    /// Memory for all of them, and for held responses.
    pub all_memory: Arc<Budget>,
    /// Where longer ones go, if anywhere.
    pub files: Option<Files>,
}

/// Where bodies go that are too long for memory.
#[derive(Debug)]
pub struct Files {
    /// The folder. Files in it have no name and end with the request.
    pub folder: Box<Path>,
    /// Bytes of one body.
    pub bytes: u64,
    /// Bytes of all of them.
    pub all_bytes: Arc<Budget>,
}

/// Where a body comes from.
pub(super) trait Source {
    /// Whether all of it was read.
    fn ended(&self) -> bool;

    /// Reads some more of it, so many bytes at most. None before its end: the client has left.
    fn read(&mut self, most: usize, into: &mut BytesMut) -> impl Future<Output = io::Result<usize>> + Send;
}

impl Source for ClientStream {
    fn ended(&self) -> bool {
        self.message_ended()
    }

    async fn read(&mut self, most: usize, into: &mut BytesMut) -> io::Result<usize> {
        (&mut *self).take(most as u64).read_buf(into).await
    }
}

/// A body, or its beginning.
#[derive(Debug)]
pub(super) struct Gathered {
    memory: BytesMut,
    file: Option<File>,
    /// Bytes that the file still has.
    left: u64,
    _shares: [Share; 2],
}

impl Gathered {
    /// Whether all of it was given out.
    pub(super) fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.left == 0
    }

    /// Gives the next piece of it out; `None`: that was all. Nothing is lost if it is not waited for.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if !self.memory.is_empty() {
            return Ok(Some(self.memory.split().freeze()));
        }
        let Some(file) = self.file.as_mut().filter(|_| self.left > 0) else { return Ok(None) };
        let mut piece = BytesMut::with_capacity(4 * STEP);
        match u64::try_from(file.read_buf(&mut piece).await?).unwrap_or(0) {
            // Somebody has cut the file.
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.left = self.left.saturating_sub(read);
                Ok(Some(piece.freeze()))
            }
        }
    }

    /// Gives some of it out.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.memory.is_empty() {
            let length = self.memory.len().min(to.remaining());
            to.put_slice(self.memory.get(..length).unwrap_or_default());
            self.memory.advance(length);
            return Poll::Ready(Ok(()));
        }
        let Some(file) = &mut self.file else { return Poll::Ready(Ok(())) };
        let before = to.filled().len();
        ready!(Pin::new(file).poll_read(context, to))?;
        match u64::try_from(to.filled().len() - before).unwrap_or(0) {
            // Somebody has cut the file.
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            read => {
                self.left = self.left.saturating_sub(read);
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// Reads the body of the message that has begun, as far as there is room. `begun` is what of it was read with the head.
///
/// # Errors
/// The client leaves, is too slow, or sends what is no body.
pub(super) async fn gather(
    stream: &mut impl Source,
    begun: BytesMut,
    gathering: &Gathering,
    pause: Duration,
) -> io::Result<Gathered> {
    let mut memory = begun;
    let mut share = Share::of(&gathering.all_memory);
    let mut room = share.grow(memory.len());
    while room && !stream.ended() && memory.len() < gathering.memory {
        let step = STEP.min(gathering.memory - memory.len());
        room = share.grow_to(memory.len() + step);
        if room {
            memory.reserve(step);
            read(stream, step, &mut memory, pause).await?;
        }
    }
    let mut gathered = match &gathering.files {
        Some(files) => {
            Gathered { memory, file: None, left: 0, _shares: [share, Share::of(&files.all_bytes)] }
        }
        None => {
            let nothing = Share::of(&gathering.all_memory);
            return Ok(Gathered { memory, file: None, left: 0, _shares: [share, nothing] });
        }
    };
    let Some(files) = &gathering.files else { return Ok(gathered) };
    if !stream.ended() {
        fill(stream, &mut gathered, files, pause).await?;
    }
    Ok(gathered)
}

/// Reads on, into a file.
async fn fill(
    stream: &mut impl Source,
    gathered: &mut Gathered,
    files: &Files,
    pause: Duration,
) -> io::Result<()> {
    let mut file = match nameless(&files.folder).await {
        Ok(file) => file,
        Err(error) => {
            // Passed on as it comes, as without a folder.
            log::warn!("no file for a request's body in {}: {error}", files.folder.display());
            return Ok(());
        }
    };
    let [_, share] = &mut gathered._shares;
    let mut buffer = BytesMut::with_capacity(4 * STEP);
    let mut length = 0;
    let room = |length: u64| usize::try_from(length).unwrap_or(usize::MAX).saturating_add(4 * STEP);
    while !stream.ended() && length < files.bytes && share.grow_to(room(length)) {
        read(stream, 4 * STEP, &mut buffer, pause).await?;
        file.write_all(&buffer).await?;
        length += buffer.len() as u64;
        buffer.clear();
    }
    file.flush().await?;
    file.seek(SeekFrom::Start(0)).await?;
    (gathered.file, gathered.left) = (Some(file), length);
    Ok(())
}

async fn read(from: &mut impl Source, most: usize, to: &mut BytesMut, pause: Duration) -> io::Result<()> {
    match timeout(pause, from.read(most, to)).await {
        Ok(Ok(0)) if !from.ended() => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => read.map(drop),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A file that nobody else can open, and that is gone when it is closed, also by a crash.
async fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!("steadfast-body-{:016x}", rand::random::<u64>()));
    let mut options = tokio::fs::OpenOptions::new();
    let file = options.create_new(true).read(true).write(true).mode(0o600).open(&path).await?;
    tokio::fs::remove_file(&path).await?;
    Ok(file)
}

/// What a client waits for that was asked to.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Reads the body of the message with this head, and lets the stream give it out first.
///
/// # Errors
/// As [`gather`].
pub(super) async fn ahead(
    stream: &mut ClientStream,
    head: &[u8],
    begun: BytesMut,
    gathering: &Gathering,
    pause: Duration,
) -> io::Result<()> {
    if !stream.message_ended() && begun.is_empty() && expects_continue(head) {
        stream.write_all(CONTINUE).await?;
        stream.send_held().await?;
    }
    let gathered = gather(stream, begun, gathering, pause).await?;
    stream.give_first(gathered);
    Ok(())
}

/// Whether a client waits to be told to go on (RFC 9110 section 10.1.1).
fn expects_continue(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| {
        line.get(..7).is_some_and(|name| name.eq_ignore_ascii_case(b"expect:"))
            && line.get(7..).is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"100-continue"))
    })
}
