//! An answer without an end: events of the admin API.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::client::{Client, ClientError};
use crate::admin::Failure;
use crate::names::ListenAddress;

/// There are numbers each second; whoever says nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(10);
/// Of an answer's head, and of a refusal.
const MAX_HEAD: u64 = 64 * 1024;

impl Client {
    /// Asks for what is at a path, and gives the answer's body as it comes.
    pub(super) fn stream(&self, path: &str) -> Result<Box<dyn BufRead + Send>, ClientError> {
        let request = self.request("GET", path, None);
        match self.listen() {
            ListenAddress::Ip(address) => {
                let stream = TcpStream::connect_timeout(address, SILENCE).and_then(|stream| {
                    stream.set_read_timeout(Some(SILENCE))?;
                    stream.set_write_timeout(Some(SILENCE))?;
                    Ok(stream)
                });
                self.begin(stream.map_err(|error| self.said(error))?, &request)
            }
            ListenAddress::Unix(path) => {
                let stream = UnixStream::connect(path).and_then(|stream| {
                    stream.set_read_timeout(Some(SILENCE))?;
                    stream.set_write_timeout(Some(SILENCE))?;
                    Ok(stream)
                });
                self.begin(stream.map_err(|error| self.said(error))?, &request)
            }
        }
    }

    fn begin(
        &self,
        mut stream: impl Read + Write + Send + 'static,
        request: &[u8],
    ) -> Result<Box<dyn BufRead + Send>, ClientError> {
        stream.write_all(request).map_err(|error| self.said(error))?;
        let mut answer = BufReader::new(stream);
        let mut head = String::new();
        let mut limited = answer.by_ref().take(MAX_HEAD);
        while !head.ends_with("\r\n\r\n") {
            match limited.read_line(&mut head) {
                Ok(0) => return Err(self.foreign(&"its answer is not HTTP as ours is")),
                Ok(_) => {}
                Err(error) => return Err(self.said(error)),
            }
        }
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        match status {
            Some(200) => Ok(Box::new(answer)),
            Some(401) => Err(ClientError::NoToken(self.address())),
            Some(status) => {
                let failure = serde_json::from_reader::<_, Failure>(answer.take(MAX_HEAD));
                let error = failure.map_err(|error| self.foreign(&error))?.error;
                Err(ClientError::Refused { status, message: error.message, help: error.help })
            }
            None => Err(self.foreign(&"its answer is not HTTP as ours is")),
        }
    }
}
