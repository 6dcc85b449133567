//! From a file, or its text, to a checked configuration.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::check;
use super::checked::Checked;
use super::model::Document;
use super::read::{Cursor, Read as _};
use super::report::{Code, Finding, Place, Problems, Report};
use super::variables::{self, Environment, ProcessEnvironment};
use super::yaml::{self, Node};

/// The largest file that is read: far above any real configuration, far below what would hurt.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Reads and checks a configuration file.
///
/// # Errors
/// Every problem of the file, unless all are warnings or notes.
pub fn load(path: &Path) -> Result<Checked, Problems> {
    load_with(path, &ProcessEnvironment)
}

/// As [`load`], with variables from another place than the process's environment.
///
/// # Errors
/// Every problem of the file, unless all are warnings or notes.
pub fn load_with(path: &Path, environment: &dyn Environment) -> Result<Checked, Problems> {
    match text(path) {
        Ok(text) => parse_with(&text, path, environment),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Checks a configuration's text; the file's name is for messages, its folder for relative paths.
///
/// # Errors
/// Every problem of the text, unless all are warnings or notes.
pub fn parse(text: &str, file: &Path) -> Result<Checked, Problems> {
    parse_with(text, file, &ProcessEnvironment)
}

/// As [`parse`], with variables from another place than the process's environment.
///
/// # Errors
/// Every problem of the text, unless all are warnings or notes.
pub fn parse_with(text: &str, file: &Path, environment: &dyn Environment) -> Result<Checked, Problems> {
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(file, &io::ErrorKind::FileTooLarge.into()));
    }
    // A byte order mark is no part of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match yaml::parse(text) {
        Ok(tree) if tree.is_empty() => {
            let finding = Finding::error(Code::File, &Place::default(), "the file is empty");
            Err(Report::new(file, text).refuse(finding.help("the least that works is in conf/minimal.yaml")))
        }
        Ok(tree) => read(tree, text, file, environment),
        Err(yaml::SyntaxError { span, message }) => {
            let place = Place { line: span.line, column: span.column, width: span.width, key: "".into() };
            let report = Report::new(file, text);
            let finding = Finding::error(Code::Syntax, &place, format!("not valid YAML: {message}"));
            let finding = match report.line(span.line) {
                line if line.contains("${") => {
                    finding.help("a value with `${…}` needs quotes inside braces and brackets")
                }
                line if line.trim_start().starts_with('\t') => finding.help("indent with spaces"),
                _ => finding,
            };
            Err(report.refuse(finding))
        }
    }
}

fn read(mut tree: Node, text: &str, file: &Path, environment: &dyn Environment) -> Result<Checked, Problems> {
    let report = Report::new(file, text);
    variables::expand(&mut tree, environment, &report);
    let document = Document::read(&Cursor::root(&tree, &report));
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let surroundings =
        check::Surroundings { folder, environment, report: &report, refuses_insecure_files: false };
    let checked = document.and_then(|document| check::document(document, &surroundings));
    let warnings = report.finish()?;
    // What is missing was reported above, so there is a value; if ever not, that must not pass for success.
    let incomplete = "the configuration is incomplete: please report this as a fault of Steadfast";
    match checked {
        Some(checked) => Ok(Checked { warnings, ..checked }),
        None => {
            Err(Report::new(file, text).refuse(Finding::error(Code::File, &Place::default(), incomplete)))
        }
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

fn unreadable(file: &Path, error: &io::Error) -> Problems {
    let message = if error.kind() == io::ErrorKind::InvalidData {
        "the file is not UTF-8 text".to_owned()
    } else if error.kind() == io::ErrorKind::FileTooLarge {
        "the file is larger than 4 MiB".to_owned()
    } else {
        format!("the file cannot be read: {error}")
    };
    Report::new(file, "").refuse(Finding::error(Code::File, &Place::default(), message))
}
