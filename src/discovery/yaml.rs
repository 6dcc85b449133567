//! A file with a YAML list of backends, written as under `backends` in the configuration.

use serde::Deserialize;
use serde_saphyr::{SnippetMode, Spanned, UserMessageFormatter};

use super::found::{Fault, Found};
use super::lines::{MAX_WEIGHT, address, id, shown};

/// Bounds that no real list meets, but a bomb does: three values and their keys for each backend.
const MAX_NODES: usize = 100_000;
const MAX_REPLAYED: usize = 10_000;
const MAX_DEPTH: usize = 8;

/// One entry of the list. A state is the operator's matter, so it is not known here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Option<Spanned<String>>,
    address: Spanned<String>,
    weight: Option<Spanned<u64>>,
}

/// The backends of a YAML list.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Found)>, Fault> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        with_snippet: false,
    };
    let entries = serde_saphyr::from_str_with_options::<Option<Vec<Entry>>>(text, options)
        .map_err(|error| syntax(&error))?;
    entries.unwrap_or_default().into_iter().map(backend).collect()
}

fn backend(entry: Entry) -> Result<(usize, Found), Fault> {
    fn line<T>(value: &Spanned<T>) -> usize {
        usize::try_from(value.defined.line()).unwrap_or_default()
    }
    let at = line(&entry.address);
    let address = address(entry.address.value.trim()).map_err(|why| Fault(format!("line {at}: {why}")))?;
    let mut found = Found::at(address);
    if let Some(name) = entry.id {
        found.id = id(&name.value).map_err(|why| Fault(format!("line {}: {why}", line(&name))))?;
    }
    if let Some(weight) = entry.weight {
        let checked = u16::try_from(weight.value).ok().filter(|weight| *weight <= MAX_WEIGHT);
        found.weight = checked.ok_or_else(|| {
            let at = line(&weight);
            Fault(format!("line {at}: weight {} is not from 0 to {MAX_WEIGHT}", weight.value))
        })?;
    }
    Ok((at, found))
}

fn syntax(error: &serde_saphyr::Error) -> Fault {
    let rendered = error.render_with_options(serde_saphyr::render_options! {
        formatter: &UserMessageFormatter,
        snippets: SnippetMode::Off,
    });
    let words = rendered.lines().next().unwrap_or_default();
    let words = words.split(" at line ").next().unwrap_or_default().trim_end_matches('.');
    let at = error.location().map(|location| format!("line {}: ", location.line())).unwrap_or_default();
    Fault(format!(
        "{at}{}; write a list of backends: `- {{ id: app1, address: 10.0.0.11:8080 }}`",
        shown(words)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_backends_as_the_configuration_does() {
        let text = "# the application\n- { id: app1, address: 10.0.0.11:8080, weight: 2 }\n- address: 10.0.0.12:8080\n";
        let found = parse(text).expect("a good list");
        let shown: Vec<_> = found
            .iter()
            .map(|(line, found)| format!("{line} {} {} {}", found.id, found.address, found.weight))
            .collect();
        assert_eq!(shown, ["2 app1 10.0.0.11:8080 2", "3 10.0.0.12:8080 10.0.0.12:8080 1"]);
        for nothing in ["[]", "", "# nothing\n", "null"] {
            assert_eq!(parse(nothing), Ok(Vec::new()), "{nothing:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let cases = [
            ("- { id: a }", 1, "address"),
            ("- { id: a, address: 10.0.0.1 }", 1, "is not an address"),
            ("- address: 10.0.0.1:80\n- address: 10.0.0.2:80\n  id: a/b", 3, "is not an id"),
            ("- { address: 10.0.0.1:80, weight: 1001 }", 1, "not from 0 to 1000"),
            ("- { address: 10.0.0.1:80, weight: -1 }", 1, ""),
            ("- { address: 10.0.0.1:80, state: up }", 1, "state"),
            ("- { address: 10.0.0.1:80", 1, ""),
            ("backends: []", 1, "write a list"),
            ("10.0.0.1:80", 1, "write a list"),
        ];
        for (text, line, part) in cases {
            let Fault(words) = parse(text).expect_err(text);
            assert!(words.contains(part), "{text}: {words}");
            assert!(words.starts_with(&format!("line {line}: ")), "{text}: {words}");
        }
    }
}
