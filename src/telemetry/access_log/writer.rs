//! The writer: a bounded buffer that requests append to, and one thread that empties it into a destination.
//!
//! Requests never wait for a disk, a socket or a reader: they copy a line under a short lock, and where there is no room the
//! line is dropped and counted. The thread gathers for a moment before it writes, so that a busy log costs a few system calls
//! each second, and sleeps while there is nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::sink::{Destination, Sink};

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// So many bytes are written without gathering any longer: more would drive the requests' own data out of the processor's
/// caches.
const BATCH: usize = 32 << 10;
/// How long [`Writer::flush`] waits for a slow destination.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes lines to one destination, on a thread of its own. Ends with what it was given when dropped.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    destination: Destination,
}

/// What became of lines, at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lines {
    /// Written.
    pub written: u64,
    /// Dropped because the buffer was full.
    pub dropped_full: u64,
    /// Dropped because the destination failed.
    pub dropped_failed: u64,
}

#[derive(Debug)]
struct Shared {
    /// Bytes of lines that wait, at most.
    capacity: usize,
    waiting: Mutex<Waiting>,
    /// For the thread: there is something to do.
    work: Condvar,
    /// For those who flush: all that waited is written.
    done: Condvar,
    written: AtomicU64,
    dropped_full: AtomicU64,
    dropped_failed: AtomicU64,
    reopen: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    count: u64,
    /// The thread waits for the first line.
    idle: bool,
    /// The thread is not to gather any longer.
    urgent: bool,
    /// The thread is writing what it has taken.
    busy: bool,
    closed: bool,
}

impl Writer {
    /// Opens the destination and starts its thread. At most `capacity` bytes of lines wait.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn start(destination: Destination, capacity: usize) -> io::Result<Self> {
        let sink = Sink::open(&destination)?;
        let shared = Arc::new(Shared {
            capacity,
            waiting: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            written: AtomicU64::new(0),
            dropped_full: AtomicU64::new(0),
            dropped_failed: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
        });
        let works = Arc::clone(&shared);
        let name = "access-log".to_owned();
        std::thread::Builder::new().name(name).spawn(move || works.run(sink))?;
        Ok(Self { shared, destination })
    }

    /// Whether it writes to that destination with that capacity.
    pub fn is_for(&self, destination: &Destination, capacity: usize) -> bool {
        self.destination == *destination && self.shared.capacity == capacity
    }

    /// Where it writes to.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Appends a line, which ends with a line feed, or drops it.
    pub(super) fn append(&self, line: &[u8]) {
        let shared = &self.shared;
        let mut waiting = shared.waiting.lock();
        if waiting.lines.len() + line.len() > shared.capacity {
            drop(waiting);
            shared.dropped_full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.lines.extend_from_slice(line);
        waiting.count += 1;
        let fills = !waiting.urgent && waiting.lines.len() > BATCH.min(shared.capacity / 2);
        if waiting.idle || fills {
            waiting.idle = false;
            waiting.urgent |= fills;
            drop(waiting);
            shared.work.notify_one();
        }
    }

    /// Opens a file anew, where somebody has moved it away. Other destinations do not mind.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.hurry();
    }

    /// Waits until everything is written that was appended so far, for a bounded time.
    pub fn flush(&self) {
        self.hurry();
        let mut waiting = self.shared.waiting.lock();
        while waiting.count > 0 || waiting.busy {
            if self.shared.done.wait_for(&mut waiting, PATIENCE).timed_out() {
                return;
            }
        }
    }

    /// What became of its lines.
    pub fn lines(&self) -> Lines {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Lines {
            written: of(&self.shared.written),
            dropped_full: of(&self.shared.dropped_full),
            dropped_failed: of(&self.shared.dropped_failed),
        }
    }

    fn hurry(&self) {
        self.shared.waiting.lock().urgent = true;
        self.shared.work.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread writes what is left; nobody waits for it, as this may be the end of a request.
        self.shared.waiting.lock().closed = true;
        self.shared.work.notify_one();
    }
}

impl Shared {
    /// The thread: ends when the writer is dropped and everything is written.
    fn run(&self, mut sink: Sink) {
        let mut taken = Vec::new();
        let mut well = true;
        loop {
            let (count, closed) = self.take(&mut taken);
            let reopened = match self.reopen.swap(false, Ordering::AcqRel) {
                true => sink.reopen(),
                false => Ok(()),
            };
            let outcome = reopened.and_then(|()| if count > 0 { sink.write(&taken) } else { Ok(()) });
            // Said once for each change, not for each batch.
            match &outcome {
                Err(error) if well => {
                    log::error!(
                        "access log: cannot write to {sink}: {error}; lines are dropped until it works again"
                    );
                }
                Ok(()) if !well && count > 0 => log::info!("access log: {sink} works again"),
                Ok(()) | Err(_) => {}
            }
            well = outcome.is_ok() && (well || count > 0);
            let counter = if outcome.is_ok() { &self.written } else { &self.dropped_failed };
            counter.fetch_add(count, Ordering::Relaxed);
            taken.clear();
            self.waiting.lock().busy = false;
            self.done.notify_all();
            if closed {
                return;
            }
        }
    }

    /// Waits for lines, gathers for a moment, and takes them; tells how many, and whether there will be no more.
    fn take(&self, taken: &mut Vec<u8>) -> (u64, bool) {
        let mut waiting = self.waiting.lock();
        while waiting.count == 0 && !waiting.closed && !waiting.urgent {
            waiting.idle = true;
            self.work.wait(&mut waiting);
        }
        waiting.idle = false;
        if !waiting.closed && !waiting.urgent {
            // Spurious wake-ups only write a little earlier.
            let _ = self.work.wait_for(&mut waiting, GATHER);
        }
        waiting.urgent = false;
        waiting.busy = true;
        std::mem::swap(&mut waiting.lines, taken);
        (std::mem::take(&mut waiting.count), waiting.closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::sink::Rotation;

    fn file(folder: &tempfile::TempDir) -> Destination {
        Destination::File { path: folder.path().join("access.log"), rotation: None::<Rotation> }
    }

    #[test]
    fn lines_are_written_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(file(&folder), 1 << 20).unwrap();
        (0..1000).for_each(|n| writer.append(format!("line {n}\n").as_bytes()));
        writer.flush();
        let written = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
        let expected: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        assert_eq!(written, expected);
        assert_eq!(writer.lines(), Lines { written: 1000, ..Lines::default() });
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(file(&folder), 100).unwrap();
        // Held, as if the thread were busy with a slow disk.
        {
            let mut waiting = writer.shared.waiting.lock();
            waiting.lines.extend_from_slice(&[b'x'; 95]);
            waiting.lines.push(b'\n');
            waiting.count = 1;
        }
        writer.append(b"no room\n");
        writer.flush();
        writer.append(b"room\n");
        writer.flush();
        let lines = writer.lines();
        assert_eq!((lines.written, lines.dropped_full), (2, 1));
        let written = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
        assert!(written.ends_with("x\nroom\n"), "{written}");
    }

    #[test]
    fn what_was_appended_before_the_end_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(file(&folder), 1 << 20).unwrap();
        writer.append(b"last\n");
        let shared = Arc::clone(&writer.shared);
        drop(writer);
        let mut waiting = shared.waiting.lock();
        while shared.written.load(Ordering::Relaxed) == 0 {
            assert!(!shared.done.wait_for(&mut waiting, Duration::from_secs(60)).timed_out());
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("access.log")).unwrap(), "last\n");
    }
}
