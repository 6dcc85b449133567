//! One case, sent raw over a connection of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::corpus::{Case, Verdict};
use super::judge::{Fault, judge};
use super::reading::{Reading, Style};
use super::recorder::Recorder;

/// What has to be served may take long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Who gives no answer for so long has not served what need not be served.
const SILENCE: Duration = Duration::from_millis(1500);
/// How long further answers are waited for, and how long if the backend has got more requests.
const MORE: Duration = Duration::from_millis(20);
const MUCH_MORE: Duration = Duration::from_secs(2);

/// The final answers that a client got.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) statuses: Vec<u16>,
}

impl Answers {
    /// How many of them are good.
    pub(crate) fn good(&self) -> usize {
        self.statuses.iter().filter(|status| (200..300).contains(*status)).count()
    }
}

/// Sends a case, and judges what came of it.
pub(crate) fn play(case: &Case, balancer: SocketAddr, backend: &Recorder) -> Vec<Fault> {
    let mark = backend.mark();
    let answers = ask(case, balancer, || {
        backend.since(&mark).iter().map(|bytes| Reading::of(bytes, Style::Strict).ends.len()).sum()
    });
    judge(case, &backend.since(&mark), &answers)
}

/// Sends the bytes and reads answers, until there are enough of them and none is due any more.
fn ask(case: &Case, balancer: SocketAddr, reached: impl Fn() -> usize) -> Answers {
    let mut answers = Answers::default();
    let Ok(mut connection) = TcpStream::connect(balancer) else { return answers };
    let _ = connection.set_nodelay(true);
    if let Ok(mut writer) = connection.try_clone() {
        let bytes = case.bytes.clone();
        // Who answers early may not read all of it.
        std::thread::spawn(move || _ = writer.write_all(&bytes));
    }
    let start = Instant::now();
    let patience = if case.verdict == Verdict::Accept { PATIENCE } else { SILENCE };
    let mut read = Vec::new();
    let mut buffer = [0; 8192];
    let mut enough_since = None;
    loop {
        answers.statuses.extend(std::iter::from_fn(|| take(&mut read, case.bytes.starts_with(b"HEAD "))));
        let enough = answers.statuses.len() >= case.answers;
        let since = if enough { *enough_since.get_or_insert_with(Instant::now) } else { start };
        let limit = match (enough, reached() > answers.statuses.len()) {
            (true, false) => MORE,
            (true, true) => MUCH_MORE,
            (false, _) => patience,
        };
        let Some(left) = limit.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) else { break };
        let _ = connection.set_read_timeout(Some(left.min(Duration::from_millis(20))));
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => read.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    answers.statuses.extend(std::iter::from_fn(|| take(&mut read, case.bytes.starts_with(b"HEAD "))));
    if !read.is_empty() && !read.starts_with(b"HTTP/") {
        // HTTP/0.9: a body and nothing else.
        answers.statuses.push(200);
    }
    let _ = connection.shutdown(Shutdown::Both);
    answers
}

/// Takes the next final answer's status out of what was read.
fn take(read: &mut Vec<u8>, to_head: bool) -> Option<u16> {
    loop {
        let end = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(read.get(..end)?).to_ascii_lowercase();
        let status: u16 = head.split(' ').nth(1)?.get(..3)?.parse().ok()?;
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: usize = value("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
        let bodiless = status < 200 || status == 204 || status == 304 || to_head;
        let whole = if value("transfer-encoding:") == Some("chunked") && !bodiless {
            end + read.get(end..)?.windows(5).position(|window| window == b"0\r\n\r\n")? + 5
        } else {
            end + if bodiless { 0 } else { length }
        };
        if read.len() < whole {
            return None;
        }
        read.drain(..whole);
        if status >= 200 {
            return Some(status);
        }
    }
}
