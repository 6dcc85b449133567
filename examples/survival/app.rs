//! A stateful application as a process of its own: sessions in memory, as Tomcat keeps them.
//!
//! | path            | does                                                                     |
//! |-----------------|--------------------------------------------------------------------------|
//! | `/page`         | the session's page; starts one where the request has none that is known  |
//! | `/login`        | replaces the session id and keeps the session                            |
//! | `/logout`       | ends the session and deletes its cookie                                  |
//! | `/plain`        | looks at the session and never starts one                                |
//! | `/static`       | may be kept by shared caches                                             |
//! | `/careless`     | starts a session on a response that says that shared caches may keep it  |
//! | `/slow`         | `/page` after 200 ms                                                     |
//! | `/socket`       | a WebSocket's handshake, then an echo                                    |
//! | `/health`       | 200, or 503 while told to fail                                           |
//! | `/control/…`    | what the program tells it: `fail?MS`, `move?ADDRESS`                     |
//!
//! A path may begin with `/one` or `/two`: two applications whose cookies have one name and two paths.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::contender::Failure;

/// Runs the application until it is killed: `app ID BOOT ADDRESS`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let [id, boot, address] = arguments else { return Err("app ID BOOT ADDRESS".into()) };
    let app = Arc::new(App {
        id: id.clone(),
        boot: boot.clone(),
        sessions: Mutex::default(),
        listener: Mutex::default(),
        fails_until_ms: AtomicU64::new(0),
    });
    app.listen(address)?;
    loop {
        thread::park();
    }
}

struct App {
    id: String,
    boot: String,
    /// Requests so far of each session, by context and id.
    sessions: Mutex<HashMap<(String, String), u64>>,
    /// The address that it listens on; another one closes the first.
    listener: Mutex<String>,
    fails_until_ms: AtomicU64,
}

/// What a request says.
struct Request {
    context: String,
    page: String,
    query: String,
    presented: Option<String>,
    upgrade: bool,
}

impl App {
    fn listen(self: &Arc<Self>, address: &str) -> Result<(), Failure> {
        let listener = TcpListener::bind(address)?;
        *locked(&self.listener) = address.to_owned();
        let (app, address) = (Arc::clone(self), address.to_owned());
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if *locked(&app.listener) != address {
                    return;
                }
                let app = Arc::clone(&app);
                thread::spawn(move || app.talk(connection));
            }
        });
        Ok(())
    }

    fn talk(self: &Arc<Self>, mut connection: TcpStream) -> Option<()> {
        connection.set_nodelay(true).ok()?;
        let mut read = Vec::new();
        loop {
            let request = Request::parse(&next_head(&mut connection, &mut read)?)?;
            if request.upgrade {
                return self.echo(&request, connection);
            }
            connection.write_all(self.answer(&request).as_bytes()).ok()?;
        }
    }

    fn answer(self: &Arc<Self>, request: &Request) -> String {
        let key = |id: &String| (request.context.clone(), id.clone());
        let known = || request.presented.as_ref().filter(|id| locked(&self.sessions).contains_key(&key(id)));
        let mut lines = self.about(request);
        match request.page.as_str() {
            "health" if now_ms() < self.fails_until_ms.load(Ordering::SeqCst) => {
                return "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned();
            }
            "health" | "plain" => {}
            "static" => lines.push_str("Cache-Control: public, max-age=600\r\n"),
            "control/fail" => {
                let ms: u64 = request.query.parse().unwrap_or(0);
                self.fails_until_ms.store(now_ms() + ms, Ordering::SeqCst);
            }
            "control/move" => {
                let moved = self.listen(&request.query);
                lines.push_str(&format!("X-Moved: {}\r\n", moved.is_ok()));
            }
            "logout" => {
                if let Some(id) = known() {
                    locked(&self.sessions).remove(&key(id));
                }
                lines.push_str(&format!("Set-Cookie: JSESSIONID=; Path={}; Max-Age=0\r\n", request.path()));
            }
            page => {
                if page == "slow" {
                    thread::sleep(Duration::from_millis(200));
                }
                if page == "careless" {
                    lines.push_str("Cache-Control: public, max-age=600\r\n");
                }
                let (old, id, count) = {
                    // In one piece: parallel requests of one session find it all the time.
                    let mut sessions = locked(&self.sessions);
                    let old = request.presented.as_ref().filter(|id| sessions.contains_key(&key(id)));
                    let count = old.and_then(|id| sessions.get(&key(id))).unwrap_or(&0) + 1;
                    let id = old.filter(|_| page != "login").cloned().unwrap_or_else(new_id);
                    if let Some(renamed) = old.filter(|old| **old != id) {
                        sessions.remove(&key(renamed));
                    }
                    sessions.insert((request.context.clone(), id.clone()), count);
                    (old, id, count)
                };
                lines.push_str(&format!("X-Session: {id}\r\nX-Count: {count}\r\n"));
                if old != Some(&id) {
                    lines.push_str(&format!(
                        "Set-Cookie: JSESSIONID={id}; Path={}; HttpOnly\r\n",
                        request.path()
                    ));
                }
            }
        }
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n{lines}\r\nok\n")
    }

    /// Who answers, and whether the presented session is known here.
    fn about(&self, request: &Request) -> String {
        let known = match &request.presented {
            None => "none",
            Some(id) if locked(&self.sessions).contains_key(&(request.context.clone(), id.clone())) => {
                "known"
            }
            Some(_) => "unknown",
        };
        format!("X-Server: {}\r\nX-Boot: {}\r\nX-Presented: {known}\r\n", self.id, self.boot)
    }

    fn echo(&self, request: &Request, mut connection: TcpStream) -> Option<()> {
        let about = self.about(request);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{about}\r\n"
        );
        connection.write_all(answer.as_bytes()).ok()?;
        let mut buffer = [0; 1024];
        loop {
            let read = connection.read(&mut buffer).ok().filter(|read| *read > 0)?;
            connection.write_all(buffer.get(..read)?).ok()?;
        }
    }
}

impl Request {
    fn parse(head: &str) -> Option<Self> {
        let target = head.split(' ').nth(1)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, in_path) =
            path.split_once(";jsessionid=").map_or((path, None), |(path, id)| (path, Some(id)));
        let path = path.trim_start_matches('/');
        let (context, page) = match path.split_once('/') {
            Some((context @ ("one" | "two"), page)) => (context, page),
            _ => ("", path),
        };
        let fields = || head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let cookies = fields().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let mut pairs =
            cookies.flat_map(|(_, value)| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let in_cookie = pairs.find(|(name, _)| *name == "JSESSIONID").map(|(_, id)| id);
        Some(Self {
            context: context.to_owned(),
            page: page.to_owned(),
            query: query.to_owned(),
            presented: in_cookie.or(in_path).map(str::to_owned),
            upgrade: fields().any(|(name, _)| name.eq_ignore_ascii_case("upgrade")),
        })
    }

    /// The path of its cookies.
    fn path(&self) -> String {
        format!("/{}", self.context)
    }
}

fn next_head(connection: &mut TcpStream, read: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = read.drain(..end + 4).collect();
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        let mut buffer = [0; 4096];
        let length = connection.read(&mut buffer).ok().filter(|length| *length > 0)?;
        read.extend_from_slice(buffer.get(..length)?);
    }
}

fn new_id() -> String {
    format!("{:032X}", rand::random::<u128>())
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(0))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
