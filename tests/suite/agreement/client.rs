//! A browser that wanders about, loses cookies, and tries others.

use std::sync::atomic::Ordering;

use super::foretold::{self, Foretold};
use super::{EACH, Seen, World};
use crate::metrics::Metered;
use crate::support::exchange::get;

/// Numbers of one seed.
struct Random(u64);

impl Random {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What it holds.
#[derive(Default)]
struct Jar {
    id: Option<String>,
    /// With its name.
    token: Option<String>,
}

/// Asks for random pages with a browser's cookies; what was seen, by the name that the request had.
pub(super) fn run(metered: &Metered, number: usize, world: &World) -> Vec<(String, Seen)> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number as u64 + 1));
    let (mut jar, mut name_of_ours) = (Jar::default(), None::<String>);
    let mut seen = Vec::new();
    for n in 0..EACH {
        match random.draw(160) {
            // Another user of the machine.
            0..4 => jar = Jar::default(),
            // A browser that has lost one of its cookies.
            4..8 => jar.token = None,
            8..10 => jar.id = None,
            // Somebody who tries ids.
            10..12 => jar.id = Some(format!("invented-{number}-{n}")),
            _ => {}
        }
        let mut cookies: Vec<_> = jar.id.iter().map(|id| format!("JSESSIONID={id}")).collect();
        let forged = match (&name_of_ours, random.draw(30)) {
            (Some(name), way @ 0..3) => {
                cookies.push(forge(name, jar.token.as_deref(), way, &mut random));
                1
            }
            _ => 0,
        };
        // Sometimes it stands beside the real one, sometimes in its place.
        if forged == 0 || random.draw(2) == 0 {
            cookies.extend(jar.token.clone());
        }
        let path = ["/", "/", "/", "/login", "/logout", "/plain", "/static", "/reset"]
            [usize::try_from(random.draw(8)).unwrap()];
        let name = format!("r{number}-{n}");
        let mut fields = vec![format!("User-Agent: {name}")];
        if !cookies.is_empty() {
            fields.push(format!("Cookie: {}", cookies.join("; ")));
        }
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        let foretold = foretold::ask(metered, world, path, &fields);
        let answer = get(metered.address, path, &fields);
        let foretold = foretold.filter(|foretold| foretold::still_counts(foretold, metered, world));
        let says = |key: &str| answer.body.contains(key).then(|| answer.word(key).to_owned());
        let presented = jar.id.clone();
        for line in answer.all("set-cookie") {
            let pair = line.split(';').next().unwrap().to_owned();
            let (cookie, value) = pair.split_once('=').unwrap();
            let kept = Some(value.to_owned()).filter(|value| !value.is_empty());
            match cookie {
                "JSESSIONID" => jar.id = kept,
                _ => {
                    name_of_ours = Some(cookie.to_owned());
                    jar.token = kept.map(|_| pair.clone());
                }
            }
        }
        seen.push((name, saw(presented, answer.status, says, forged, foretold)));
        world.answered.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

fn saw(
    presented: Option<String>,
    status: u16,
    says: impl Fn(&str) -> Option<String>,
    forged: usize,
    foretold: Option<Foretold>,
) -> Seen {
    Seen {
        presented,
        status,
        server: says("server="),
        session: says("session="),
        fresh: says("fresh=").map(|word| word == "true"),
        forged,
        foretold,
    }
}

/// A load-balancer cookie that nobody has issued: noise of the right length, a real one with a letter changed, or a stump.
fn forge(name: &str, real: Option<&str>, way: u64, random: &mut Random) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut letter = || char::from(LETTERS[usize::try_from(random.draw(64)).unwrap()]);
    match (way, real.and_then(|real| real.split_once('='))) {
        (0, Some((_, value))) => {
            let (first, last) = value.split_at(value.len() / 2);
            let other = if last.starts_with('A') { 'B' } else { 'A' };
            format!("{name}={first}{other}{}", &last[1..])
        }
        (1, _) => format!("{name}=short"),
        _ => format!("{name}={}", (0..96).map(|_| letter()).collect::<String>()),
    }
}
