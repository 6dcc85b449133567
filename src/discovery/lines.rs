//! A file with one backend on each line.
//!
//! ```text
//! # id=NAME ADDRESS weight=N; id and weight may be left out
//! id=app1 10.0.0.11:8080
//! id=app2 10.0.0.12:8080 weight=2
//! 10.0.0.13:8080
//! ```

use std::net::SocketAddr;

use super::found::{Fault, Found};
use crate::names::BackendId;

/// The backends of a file with one on each line.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Found)>, Fault> {
    let lines = (1..).zip(text.lines()).map(|(number, line)| {
        // A `#` begins a comment anywhere: nothing that a line can say has one.
        (number, line.split('#').next().unwrap_or_default().trim())
    });
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| match backend(line) {
            Ok(found) => Ok((number, found)),
            Err(why) => Err(Fault(format!("line {number}: {why}"))),
        })
        .collect()
}

fn backend(line: &str) -> Result<Found, String> {
    if line.starts_with("- ") || line.starts_with("---") {
        return Err("this is YAML: give the file a name that ends with .yaml".to_owned());
    }
    let (mut id, mut address, mut weight) = (None, None, None);
    for word in line.split_ascii_whitespace() {
        let twice = match word.split_once('=') {
            Some(("id", name)) => id.replace(self::id(name)?).is_some(),
            Some(("weight", number)) => weight.replace(self::weight(number)?).is_some(),
            Some((key, _)) => return Err(format!("`{key}=` is not known; known are id= and weight=")),
            None => address.replace(self::address(word)?).is_some(),
        };
        if twice {
            return Err(format!("`{word}` comes after another of its kind; a line has one backend"));
        }
    }
    let address = address.ok_or("no address; write IP address and port, such as 10.0.0.11:8080")?;
    let found = Found::at(address);
    Ok(Found { id: id.unwrap_or(found.id), address, weight: weight.unwrap_or(1) })
}

/// A backend's id, by the rules of the configuration's own.
pub(super) fn id(text: &str) -> Result<BackendId, String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let right =
        text.len() <= 64 && text.chars().all(part) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !right {
        return Err(format!(
            "`{}` is not an id; use up to 64 letters, digits, `_`, `-` and `.`, a letter or digit first",
            shown(text)
        ));
    }
    Ok(BackendId::new(text))
}

/// An address that can be connected to.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let Ok(address) = text.parse::<SocketAddr>() else {
        return Err(format!(
            "`{}` is not an address; write IP address and port, such as 10.0.0.11:8080 or [fd00::11]:8080",
            shown(text)
        ));
    };
    if address.port() == 0 {
        return Err(format!("`{address}` has port 0; write the port that the backend listens on"));
    }
    Ok(address)
}

fn weight(text: &str) -> Result<u16, String> {
    // Digits alone: `parse` would also take a sign.
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number
        .filter(|weight| *weight <= MAX_WEIGHT)
        .ok_or_else(|| format!("`weight={}` is not a whole number from 0 to {MAX_WEIGHT}", shown(text)))
}

/// As in the configuration.
pub(super) const MAX_WEIGHT: u16 = 1000;

/// A word of the file for a message: short, and nothing that could disturb the log.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let clean = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = clean.clone().take(LONGEST).collect();
    if clean.count() > LONGEST {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_backend() {
        let text = "# the application\n\nid=app1 10.0.0.11:8080\n  10.0.0.12:8080\tweight=0 id=app2 # new\r\n\
                    [fd00::1]:80\n";
        let found = parse(text).expect("good lines");
        let shown: Vec<_> = found
            .iter()
            .map(|(line, found)| format!("{line} {} {} {}", found.id, found.address, found.weight))
            .collect();
        let expected =
            ["3 app1 10.0.0.11:8080 1", "4 app2 10.0.0.12:8080 0", "5 [fd00::1]:80 [fd00::1]:80 1"];
        assert_eq!(shown, expected);
        assert_eq!(parse(" \n# nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn a_bad_line_is_named_with_advice() {
        let cases = [
            ("10.0.0.1", "line 2: `10.0.0.1` is not an address; write"),
            ("app.internal:80", "is not an address"),
            ("10.0.0.1:0", "has port 0"),
            ("id=app1", "no address"),
            ("id=a/b 10.0.0.1:80", "`a/b` is not an id"),
            ("id= 10.0.0.1:80", "`` is not an id"),
            ("10.0.0.1:80 weight=1001", "from 0 to 1000"),
            ("10.0.0.1:80 weight=+1", "from 0 to 1000"),
            ("10.0.0.1:80 weight=", "from 0 to 1000"),
            ("10.0.0.1:80 wieght=1", "`wieght=` is not known"),
            ("10.0.0.1:80 10.0.0.2:80", "one backend"),
            ("- { id: a, address: 10.0.0.1:80 }", "ends with .yaml"),
            ("10.0.0.1:80\u{7}", "`10.0.0.1:80\u{fffd}`"),
        ];
        for (line, part) in cases {
            let Fault(words) = parse(&format!("10.0.0.9:80\n{line}\n")).expect_err(line);
            assert!(words.starts_with("line 2: ") && words.contains(part), "{line}: {words}");
        }
        let Fault(long) = parse(&"x".repeat(5000)).expect_err("too long");
        assert!(long.len() < 300, "{long}");
    }
}
