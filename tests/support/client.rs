//! A browser that knows what its session must hold, and notices when it does not.
//!
//! It talks to Tomcat's `SessionExample`, which shows the session's id and every attribute stored in it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::cookie::{CookieStore, Jar};
use reqwest::header::HeaderValue;

use super::eventually::PATIENCE;

/// The servlet's path.
const SERVLET: &str = "/examples/servlets/servlet/SessionExample";

/// The attribute that every browser stores first, and again when its session was lost.
const OWNER: &str = "owner";

/// Which cookies a browser sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// All of them.
    All,
    /// Only the one of this name.
    Only(&'static str),
    /// None: the session is carried by the links of the page, which the browser follows.
    Refused,
}

/// One user's browser.
pub(crate) struct Browser {
    /// What it stores as the session's owner.
    pub(crate) name: String,
    http: reqwest::Client,
    keeper: Arc<Keeper>,
    /// Where the servlet is: fixed for a browser with cookies, else as the last page linked it.
    form: Url,
    /// The page's link that stores `exampleName`, once a page was seen.
    link: Option<Url>,
    /// What the session must hold.
    stored: BTreeMap<String, String>,
    /// The tally so far.
    pub(crate) seen: Seen,
}

/// What a browser saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Requests sent.
    pub(crate) requests: usize,
    /// How often the session was lost: something stored in it was not there any more.
    pub(crate) lost: usize,
    /// Requests without a proper answer: a failed connection, a status of 400 or above, an unknown page.
    pub(crate) faults: Vec<String>,
    /// How many requests each server answered.
    pub(crate) servers: BTreeMap<String, usize>,
    /// The server that answered last.
    pub(crate) server: Option<String>,
    /// The session's id, as the last page gave it.
    pub(crate) session: Option<String>,
}

impl Browser {
    /// A browser without any history. `base` is a server's URL without a path; `source` and `name` (its
    /// User-Agent) are what a balancer can tell it by.
    pub(crate) fn new(base: &str, source: Ipv4Addr, name: &str, cookies: Cookies) -> Self {
        let keeper = Arc::new(Keeper { jar: Jar::default(), cookies });
        let http = http_client(&keeper, source, name);
        let form = Url::parse(base).unwrap().join(SERVLET).unwrap();
        let (link, stored, seen) = (None, BTreeMap::new(), Seen::default());
        Self { name: name.to_owned(), http, keeper, form, link, stored, seen }
    }

    /// Goes on at another server, with the same cookies and expectations.
    pub(crate) fn go_to(&mut self, base: &str) {
        self.form = Url::parse(base).unwrap().join(SERVLET).unwrap();
        self.link = None;
    }

    /// Goes on from another address under another User-Agent, over new connections: only what the session
    /// itself has left with the browser still tells who it is.
    pub(crate) fn appear_as(&mut self, source: Ipv4Addr, agent: &str) {
        self.http = http_client(&self.keeper, source, agent);
    }

    /// One request: stores the owner when the session does not hold it, else by turns changes an attribute
    /// and only looks.
    pub(crate) async fn turn(&mut self) {
        let turn = self.seen.requests;
        let name = self.name.clone();
        match (self.stored.contains_key(OWNER), turn % 3, &self.link) {
            (false, _, _) => self.request(self.form.clone(), Some((OWNER, &name))).await,
            (true, 0, _) => self.request(self.form.clone(), Some(("turn", &turn.to_string()))).await,
            (true, 1, Some(link)) => self.request(link.clone(), Some(("exampleName", "exampleValue"))).await,
            (true, _, _) => self.request(self.form.clone(), None).await,
        }
    }

    /// As many turns, one after the other.
    pub(crate) async fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn().await;
        }
    }

    /// Logs in by the examples' form: the session is renamed, and keeps what it holds.
    pub(crate) async fn log_in(&mut self) {
        let folder = self.form.join("/examples/jsp/security/protected/").unwrap();
        let page = self.http.get(folder.join("index.jsp").unwrap()).send().await.unwrap();
        assert!(page.status().is_success(), "the form: {page:?}");
        let answer = self
            .http
            .post(folder.join("j_security_check").unwrap())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("j_username=user&j_password=user")
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_redirection(), "logged in: {answer:?}");
    }

    /// Requests `url`, where `storing` goes into the session, and compares the page with what must be there.
    async fn request(&mut self, mut url: Url, storing: Option<(&str, &str)>) {
        if let Some((name, value)) = storing {
            url.query_pairs_mut().clear().append_pair("dataname", name).append_pair("datavalue", value);
            // From here on the old value need not be there any more.
            self.stored.remove(name);
        }
        self.seen.requests += 1;
        let (server, page) = match self.fetch(url.clone()).await {
            Ok(answer) => answer,
            Err(fault) => return self.seen.faults.push(format!("{}: {url}: {fault}", self.name)),
        };
        *self.seen.servers.entry(server.clone()).or_default() += 1;
        self.seen.server = Some(server);
        if !self.stored.iter().all(|(name, value)| page.attributes.get(name) == Some(value)) {
            self.seen.lost += 1;
        }
        if let Some((name, value)) = storing
            && page.attributes.get(name).map(String::as_str) != Some(value)
        {
            self.seen.faults.push(format!("{}: {name} was not stored: {page:?}", self.name));
        }
        if page.attributes.get(OWNER).is_some_and(|owner| *owner != self.name) {
            self.seen.faults.push(format!("{}: in somebody else's session: {page:?}", self.name));
        }
        if self.keeper.cookies == Cookies::Refused {
            self.form = url.join(&page.form).unwrap();
            self.link = Some(url.join(&page.link).unwrap());
        }
        self.seen.session = Some(page.session);
        self.stored = page.attributes;
    }

    /// The page at `url` and the server that made it.
    async fn fetch(&self, url: Url) -> Result<(String, Page), String> {
        let response = self.http.get(url).send().await.map_err(|error| format!("{error:?}"))?;
        let status = response.status();
        let server = response.headers().get("server").and_then(|value| value.to_str().ok());
        let server = server.unwrap_or("nobody").to_owned();
        let text = response.text().await.map_err(|error| format!("{error:?}"))?;
        if !status.is_success() {
            return Err(format!("status {status} from {server}: {text}"));
        }
        match Page::parse(&text) {
            Some(page) => Ok((server, page)),
            None => Err(format!("not SessionExample's page, from {server}: {text}")),
        }
    }
}

/// HTTP from one address under one User-Agent, with nothing in the way: no proxy, no retry, no redirect.
fn http_client(keeper: &Arc<Keeper>, source: Ipv4Addr, agent: &str) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .local_address(IpAddr::from(source))
        .user_agent(agent)
        .cookie_provider(Arc::clone(keeper))
        .build()
        .unwrap()
}

/// A cookie jar that gives out only some of its cookies.
struct Keeper {
    jar: Jar,
    cookies: Cookies,
}

impl CookieStore for Keeper {
    fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        self.jar.set_cookies(headers, url);
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        let all = self.jar.cookies(url)?;
        let only = match self.cookies {
            Cookies::All => return Some(all),
            Cookies::Refused => return None,
            Cookies::Only(name) => name,
        };
        let mut pairs = all.to_str().ok()?.split("; ");
        let pair = pairs.find(|pair| pair.split_once('=').is_some_and(|(name, _)| name == only))?;
        HeaderValue::from_str(pair).ok()
    }
}

/// What `SessionExample` shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The session's id.
    pub(crate) session: String,
    /// The attributes in the session.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The form's relative address; carries the session's id unless the request had its cookie.
    pub(crate) form: String,
    /// The example link's relative address; carries the session's id like the form's.
    pub(crate) link: String,
}

impl Page {
    /// Reads the page; `None` when it is not one.
    pub(crate) fn parse(html: &str) -> Option<Self> {
        let session = between(html, "Session ID: ", "\n")?.trim().to_owned();
        let data = between(html, "The following data is in your session:<br>", "<p>")?;
        let attributes = data.lines().filter(|line| !line.starts_with('<'));
        let attributes = attributes
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let form = between(html, "<form action=\"", "\"")?.replace("&amp;", "&");
        let link = between(html, "<p><a href=\"", "\"")?.replace("&amp;", "&");
        Some(Self { session, attributes, form, link })
    }
}

/// The text after the first `start` and before the `end` that follows it.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    let (inside, _) = rest.split_once(end)?;
    Some(inside)
}
