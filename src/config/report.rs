//! Problems of a configuration: what, where, and what to write instead.

use std::fmt;

use super::node::At;

/// How bad a problem is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word in front of a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is wrong, or probably not meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file as it was named.
    pub file: String,
    /// Line, counted from 1.
    pub line: u64,
    /// Column in characters, counted from 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that can be said.
    pub help: Option<String>,
    /// The line itself.
    pub source: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, source, .. } = self;
        writeln!(f, "{file}:{line}:{column}: {}: {message}", self.severity.as_str())?;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "  {number} | {source}")?;
        let indent = " ".repeat(usize::try_from(column.saturating_sub(1)).unwrap_or(0));
        writeln!(f, "  {margin} | {indent}^")?;
        match &self.help {
            Some(help) => writeln!(f, "  {margin} = help: {help}"),
            None => Ok(()),
        }
    }
}

/// Every problem of a configuration that cannot be used, warnings included, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// The number of errors among them.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| problem.fmt(f))
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a file is being checked.
pub(super) struct Report<'s> {
    file: String,
    source: &'s str,
    problems: Vec<Problem>,
}

impl<'s> Report<'s> {
    pub(super) fn new(file: String, source: &'s str) -> Self {
        Self { file, source, problems: Vec::new() }
    }

    pub(super) fn error(&mut self, at: At, message: String, help: Option<String>) {
        self.add(Severity::Error, at, message, help);
    }

    pub(super) fn warning(&mut self, at: At, message: String, help: Option<String>) {
        self.add(Severity::Warning, at, message, help);
    }

    pub(super) fn note(&mut self, at: At, message: String, help: Option<String>) {
        self.add(Severity::Note, at, message, help);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The problems in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column, problem.severity));
        self.problems
    }

    fn add(&mut self, severity: Severity, at: At, message: String, help: Option<String>) {
        let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(usize::MAX);
        // Tabs would put the caret elsewhere.
        let source = self.source.lines().nth(line).unwrap_or_default().replace('\t', " ");
        let file = self.file.clone();
        self.problems.push(Problem {
            severity,
            file,
            line: at.line,
            column: at.column,
            message,
            help,
            source,
        });
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

/// The known word nearest to a mistyped one, if any is near enough to be meant.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// "did you mean …?", or the list of all known words.
pub(super) fn advice<'k>(word: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> Option<String> {
    if let Some(meant) = nearest(word, known.clone()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    let all: Vec<_> = known.into_iter().map(|word| format!("`{word}`")).collect();
    (!all.is_empty()).then(|| format!("known here: {}", all.join(", ")))
}
