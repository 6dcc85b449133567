//! `steadfast check`.

use std::process::ExitCode;

use serde_json::json;

use super::{args, fail, print};
use crate::config::{self, Problem, Severity};

pub(super) fn check(args: &args::Check) -> ExitCode {
    let (problems, ok): (Vec<Problem>, bool) = match config::load(&args.config) {
        Ok(checked) => (checked.warnings, true),
        Err(problems) => (problems.iter().cloned().collect(), false),
    };
    if args.json {
        let problems: Vec<_> = problems.iter().map(as_json).collect();
        print(&format!("{:#}", json!({ "ok": ok, "problems": problems })));
        return if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    for problem in &problems {
        fail(problem);
    }
    if ok {
        return print(&format!("{}: the configuration is good", args.config.display()));
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    fail(&format!("{}: {errors} error{}", args.config.display(), if errors == 1 { "" } else { "s" }))
}

fn as_json(problem: &Problem) -> serde_json::Value {
    json!({
        "severity": problem.severity.as_str(),
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "help": problem.help,
        "source": problem.source,
    })
}
