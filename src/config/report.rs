//! Problems of a configuration: what, where, and what to write instead.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::mask;

/// How much a problem matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// Legal, but probably not meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word that stands in front of the message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// The kind of a problem: a stable word for tools.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Code {
    /// The file cannot be read.
    File,
    /// The text is not YAML.
    Syntax,
    /// A `${VARIABLE}` cannot be expanded.
    Variable,
    /// No such key here.
    UnknownKey,
    /// A key that later releases will know.
    NotSupported,
    /// A key that has to be there is not.
    MissingKey,
    /// A key, id, name or address that may occur once occurs again.
    Duplicate,
    /// A value of another kind than the key takes.
    WrongType,
    /// No such word here.
    UnknownWord,
    /// A value that is not written as it has to be.
    BadValue,
    /// A value outside its bounds.
    OutOfRange,
    /// A name that nothing defines.
    Unresolved,
    /// Settings that contradict each other.
    Conflict,
    /// Something that has no effect.
    Unused,
    /// A secret that others can read, or that replicas cannot share.
    Secret,
    /// A choice that loses sessions.
    Trap,
}

impl Code {
    /// The word in machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Syntax => "syntax",
            Self::Variable => "variable",
            Self::UnknownKey => "unknown-key",
            Self::NotSupported => "not-supported",
            Self::MissingKey => "missing-key",
            Self::Duplicate => "duplicate",
            Self::WrongType => "wrong-type",
            Self::UnknownWord => "unknown-word",
            Self::BadValue => "bad-value",
            Self::OutOfRange => "out-of-range",
            Self::Unresolved => "unresolved",
            Self::Conflict => "conflict",
            Self::Unused => "unused",
            Self::Secret => "secret",
            Self::Trap => "trap",
        }
    }
}

/// One thing that is wrong, or probably not meant, in a configuration. Its display is the whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Its kind.
    pub code: Code,
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Line in the file, from 1; 0: the file as a whole.
    pub line: usize,
    /// Column in the line, in characters, from 1.
    pub column: usize,
    /// Characters that the caret underlines.
    pub width: usize,
    /// The key's path, such as `pools.app.balance`; empty: the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead, or why it matters.
    pub help: Option<String>,
    /// The line itself, without its secrets.
    pub source: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, file, line, column, message, .. } = self;
        if *line == 0 {
            write!(f, "{file}: {}: {message}", severity.as_str())?;
        } else {
            write!(f, "{file}:{line}:{column}: {}: {message}", severity.as_str())?;
            let margin = line.to_string().len();
            // Masking can shorten the line; the caret then points at the mask.
            let length = self.source.chars().count();
            let start = column.saturating_sub(1).min(length);
            let width = self.width.min(length - start).max(1);
            // A tab stays a tab, so that the caret stands below what it points at.
            let indent: String =
                self.source.chars().take(start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "\n {line} | {}\n {:margin$} | {indent}{}", self.source, "", "^".repeat(width))?;
        }
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

/// Every problem of a configuration that is refused, in the order of the file. Its display renders them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: Arc<str>,
    problems: Vec<Problem>,
}

impl Problems {
    /// The problems, errors, warnings and notes, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.problems.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self {
            write!(f, "{problem}\n\n")?;
        }
        write!(f, "{}: ", self.file)?;
        let mut separator = "";
        for (severity, word) in
            [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
        {
            let count = self.iter().filter(|problem| problem.severity == severity).count();
            if count > 0 {
                write!(f, "{separator}{count} {word}{}", if count == 1 { "" } else { "s" })?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A place in the file, and the key that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) width: usize,
    pub(super) key: Arc<str>,
}

impl Place {
    /// The last part of the key's path: what messages call it.
    pub(super) fn name(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or_default()
    }
}

/// A problem before it knows its file and line.
#[derive(Debug)]
pub(super) struct Finding {
    severity: Severity,
    code: Code,
    place: Place,
    message: String,
    help: Option<String>,
}

impl Finding {
    pub(super) fn error(code: Code, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, place: place.clone(), message: message.into(), help: None }
    }

    pub(super) fn warning(code: Code, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    pub(super) fn note(code: Code, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(code, place, message) }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub(super) struct Report<'a> {
    file: Arc<str>,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &Path, text: &'a str) -> Self {
        Self { file: file.display().to_string().into(), text, problems: RefCell::default() }
    }

    pub(super) fn add(&self, finding: Finding) {
        let Finding { severity, code, place, message, help } = finding;
        let source = mask::line(self.text, place.line);
        let Place { line, column, width, key } = place;
        self.problems.borrow_mut().push(Problem {
            severity,
            code,
            file: Arc::clone(&self.file),
            line,
            column,
            width,
            key: key.to_string(),
            message,
            help,
            source,
        });
    }

    /// The line as it stands in the file; empty if there is none.
    pub(super) fn line(&self, line: usize) -> &'a str {
        line.checked_sub(1).and_then(|index| self.text.lines().nth(index)).unwrap_or_default()
    }

    /// Ends the collection with the problem after which there is no going on.
    pub(super) fn refuse(self, finding: Finding) -> Problems {
        self.add(finding);
        Problems { file: self.file, problems: self.problems.into_inner() }
    }

    /// Ends the collection: the warnings if there is no error, everything if there is one.
    pub(super) fn finish(self) -> Result<Vec<Problem>, Problems> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        // What an alias repeats is wrong in one place.
        problems.dedup_by(|one, other| {
            (one.line, one.column, &one.message) == (other.line, other.column, &other.message)
        });
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(Problems { file: self.file, problems });
        }
        Ok(problems)
    }
}

/// The known word that was probably meant, if one is near enough.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let plain = |word: &str| word.to_lowercase().replace(['-', '_'], "");
    let word = plain(word);
    // A word cut short, or with an ending, is nearer than letters can say.
    let begins = |one: &str, other: &str| one.len() >= 3 && other.starts_with(one);
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, &plain(candidate));
    // A third of the letters may be wrong: more, and the proposal is a guess that misleads.
    known
        .into_iter()
        .map(|candidate| {
            let plain = plain(candidate);
            let begins = begins(&word, &plain) || begins(&plain, &word);
            (if begins { 1 } else { distance(candidate) }, candidate)
        })
        .filter(|(distance, candidate)| {
            *distance <= (word.chars().count().max(candidate.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_what_it_points_at() {
        let report = Report::new(Path::new("site.yaml"), "a:\n\tb: ü wrong\n");
        let place = Place { line: 2, column: 7, width: 5, key: "a.b".into() };
        report.add(Finding::error(Code::BadValue, &place, "not right").help("write right"));
        let problems = report.finish().expect_err("an error was added");
        let expected = "site.yaml:2:7: error: not right\n 2 | \tb: ü wrong\n   | \t     ^^^^^\nhelp: write \
                        right\n\nsite.yaml: 1 error";
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn warnings_alone_refuse_nothing() {
        let report = Report::new(Path::new("site.yaml"), "a: b\n");
        report.add(Finding::warning(Code::Trap, &Place::default(), "hm"));
        assert_eq!(report.finish().expect("no error").len(), 1);
    }

    #[test]
    fn only_a_near_word_is_proposed() {
        let known = ["listeners", "pools", "state_dir"];
        assert_eq!(nearest("listner", known), Some("listeners"));
        assert_eq!(nearest("State-Dir", known), Some("state_dir"));
        assert_eq!(nearest("pool", known), Some("pools"));
        assert_eq!(nearest("leastconn", ["random", "least_connections"]), Some("least_connections"));
        assert_eq!(nearest("stats", known), None);
        assert_eq!(nearest("frontend", known), None);
    }
}
