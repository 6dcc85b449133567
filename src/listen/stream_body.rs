//! The body of a stream of HTTP/2 while it is gathered.

use std::io;

use bytes::{Bytes, BytesMut};
use pingora::protocols::http::v2::server::HttpSession;

use super::gather::Source;
use super::pace::Pace;
use crate::clock::Now;

/// A body that comes frame by frame.
pub(super) struct StreamBody<'s> {
    session: &'s mut HttpSession,
    /// Of the latest frame.
    rest: Bytes,
    ended: bool,
    pace: Pace,
    /// Bytes per second; 0: no bound.
    slowest: u64,
    /// Bytes that may still come, if that is bounded.
    most: Option<u64>,
}

impl<'s> StreamBody<'s> {
    pub(super) fn new(session: &'s mut HttpSession, slowest: u64, most: Option<u64>) -> Self {
        let ended = session.is_body_done();
        Self { session, rest: Bytes::new(), ended, pace: Pace::default(), slowest, most }
    }

    /// What was read and not taken, and whether that was all.
    pub(super) fn left(self) -> (Bytes, bool) {
        (self.rest, self.ended)
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.slowest > 0 {
            self.pace.waits(Now::read().monotonic_ms);
        }
        let frame = self.session.read_body_bytes().await;
        let Some(data) = frame.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?
        else {
            return Ok(None);
        };
        if self.slowest > 0 {
            self.pace.went_on(data.len(), self.slowest, Now::read().monotonic_ms)?;
        }
        if let Some(most) = &mut self.most {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            *most = most.checked_sub(length).ok_or(io::ErrorKind::FileTooLarge)?;
        }
        Ok(Some(data))
    }
}

impl Source for StreamBody<'_> {
    fn ended(&self) -> bool {
        self.ended && self.rest.is_empty()
    }

    async fn read(&mut self, most: usize, into: &mut BytesMut) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.next().await? {
                Some(data) => self.rest = data,
                None => self.ended = true,
            }
            self.ended |= self.session.is_body_done();
        }
        let length = self.rest.len().min(most);
        into.extend_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
