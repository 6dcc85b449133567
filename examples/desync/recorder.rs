//! A backend that records every byte it gets, and answers each request that it understands.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::reading::{End, Reading, Style};

/// A running backend. Its threads end with their connections.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    got: Got,
}

/// What each connection has sent so far.
type Got = Arc<Mutex<Vec<Vec<u8>>>>;

/// How much each connection had sent at some time.
pub(crate) struct Mark(Vec<usize>);

impl Recorder {
    /// Starts on a port that the kernel gives.
    ///
    /// # Errors
    /// It cannot listen.
    pub(crate) fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let recorder = Self { address: listener.local_addr()?, got: Arc::default() };
        let got = Arc::clone(&recorder.got);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let got = Arc::clone(&got);
                let number = {
                    let mut got = lock(&got);
                    got.push(Vec::new());
                    got.len() - 1
                };
                std::thread::spawn(move || serve(connection, number, &got));
            }
        });
        Ok(recorder)
    }

    /// From here on is asked with [`Self::since`].
    pub(crate) fn mark(&self) -> Mark {
        Mark(lock(&self.got).iter().map(Vec::len).collect())
    }

    /// What each connection has sent since then; connections that sent nothing are left out.
    pub(crate) fn since(&self, mark: &Mark) -> Vec<Vec<u8>> {
        let before = mark.0.iter().copied().chain(std::iter::repeat(0));
        let all = lock(&self.got);
        let new = all.iter().zip(before).filter_map(|(bytes, before)| bytes.get(before..));
        new.filter(|bytes| !bytes.is_empty()).map(<[u8]>::to_vec).collect()
    }
}

fn lock(got: &Got) -> MutexGuard<'_, Vec<Vec<u8>>> {
    got.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut connection: TcpStream, number: usize, got: &Got) {
    let mut buffer = vec![0; 65_536];
    let mut unanswered = Vec::new();
    while let Ok(read @ 1..) = connection.read(&mut buffer) {
        let read = buffer.get(..read).unwrap_or_default();
        if let Some(bytes) = lock(got).get_mut(number) {
            bytes.extend_from_slice(read);
        }
        unanswered.extend_from_slice(read);
        let reading = Reading::of(&unanswered, Style::Strict);
        let mut start = 0;
        for end in &reading.ends {
            let is_head = unanswered.get(start..).is_some_and(|request| request.starts_with(b"HEAD "));
            let body = if is_head { "" } else { "ok" };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}");
            if connection.write_all(answer.as_bytes()).is_err() {
                return;
            }
            start = *end;
        }
        unanswered.drain(..start);
        if reading.end == End::Broken {
            let _ = connection
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
    }
}
