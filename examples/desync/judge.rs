//! What is dangerous in the bytes that a backend got, and what an exchange says about the balancer.

use super::corpus::{Case, Verdict};
use super::exchange::Answers;
use super::reading::{End, Reading, Style, field, head};

/// What is wrong with one case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// A backend got a form that it may misread.
    Dangerous(String),
    /// It was served although it MUST be refused.
    MustRefuse,
    /// It was served although it is no HTTP.
    ShouldRefuse,
    /// It is valid, and was not served. With what the client got.
    ValidRefused(String),
}

/// Judges one exchange by what each connection of the backend got and what the client was answered.
pub(crate) fn judge(case: &Case, connections: &[Vec<u8>], answers: &Answers) -> Vec<Fault> {
    let mut faults = Vec::new();
    let asked: usize = connections.iter().map(|bytes| Reading::of(bytes, Style::Strict).ends.len()).sum();
    if asked > answers.statuses.len() {
        let (got, given) = (asked, answers.statuses.len());
        faults.push(Fault::Dangerous(format!("{got} requests reached the backend, {given} were answered")));
    }
    faults.extend(connections.iter().filter_map(|bytes| danger(bytes)).map(Fault::Dangerous));
    let served = answers.good() >= case.answers;
    match case.verdict {
        Verdict::Refuse if served => faults.push(Fault::MustRefuse),
        Verdict::Invalid if served => faults.push(Fault::ShouldRefuse),
        Verdict::Accept if !served => faults.push(Fault::ValidRefused(format!("{:?}", answers.statuses))),
        Verdict::Refuse | Verdict::Invalid | Verdict::Either | Verdict::Accept => {}
    }
    faults
}

/// What some server would misread in these bytes of a connection, if anything.
fn danger(bytes: &[u8]) -> Option<String> {
    let strict = Reading::of(bytes, Style::Strict);
    for style in [Style::LengthFirst, Style::Lenient] {
        let other = Reading::of(bytes, style);
        if other.ends != strict.ends {
            return Some(format!("requests end at {:?}, or, {style:?}, at {:?}", strict.ends, other.ends));
        }
    }
    if strict.end == End::Broken {
        return Some("what reached the backend is no request".to_owned());
    }
    let starts = std::iter::once(0).chain(strict.ends.iter().copied());
    starts.filter_map(|start| bytes.get(start..)).find_map(head_danger)
}

/// What is dangerous in one head, even where it happens to make no difference here.
fn head_danger(bytes: &[u8]) -> Option<String> {
    let head = head(bytes, Style::Strict)?;
    let mut framing = [("host", 0), ("content-length", 0), ("transfer-encoding", 0)];
    for line in &head.lines {
        if line.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Some(format!("a NUL, CR or LF in `{}`", line.escape_ascii()));
        }
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return Some(format!("a folded line `{}`", line.escape_ascii()));
        }
        let Some((loose, value)) = field(line, Style::Lenient) else { continue };
        let Some((_, count)) = framing.iter_mut().find(|(name, _)| name.as_bytes() == loose) else {
            continue;
        };
        *count += 1;
        let exact = field(line, Style::Strict).is_some_and(|(name, _)| name == loose);
        let plain = match loose.as_slice() {
            b"content-length" => !value.is_empty() && value.iter().all(u8::is_ascii_digit),
            b"transfer-encoding" => value == b"chunked",
            _ => true,
        };
        if !exact || !plain {
            return Some(format!("an obscure framing field `{}`", line.escape_ascii()));
        }
    }
    let both = framing.iter().skip(1).all(|(_, count)| *count > 0);
    match framing.iter().find(|(_, count)| *count > 1) {
        Some((name, _)) => Some(format!("several {name} fields")),
        None => both.then(|| "both length and coding".to_owned()),
    }
}
