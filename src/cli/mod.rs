//! The command line: words in, exit code out.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 usage. Output is for people, and JSON with `--json`. May use
//! everything that is public; nothing else lives here.

mod advise;
mod args;
mod backend;
mod check;
mod client;
mod demo;
mod explain;
mod log_level;
mod reload;
mod run;
mod sessions;
mod status;
mod stream;
mod table;
mod top;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Args, Command};

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; clap knows the difference.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match args.command {
        Command::Run(run) => run::run(&run),
        Command::Check(check) => check::check(&check),
        Command::Demo(demo) => demo::demo(&demo),
        Command::Explain(explain) => explain::explain(&explain),
        Command::Status(reach) => status::status(&reach),
        Command::Top(top) => top::top(&top),
        Command::Advise(reach) => advise::advise(&reach),
        Command::Sessions(sessions) => sessions::sessions(&sessions),
        Command::Drain(drain) => backend::drain(&drain),
        Command::Ready(change) => backend::ready(&change),
        Command::Maintain(change) => backend::maintain(&change),
        Command::Reload(reload) => reload::reload(&reload),
        Command::LogLevel(log_level) => log_level::log_level(&log_level),
        Command::Schema => print(&format!("{:#}", crate::config::schema())),
        Command::Reference => print(crate::config::reference().trim_end()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "steadfast", &mut script);
            print(String::from_utf8_lossy(&script).trim_end())
        }
    }
}

/// Prints a line to standard output; a reader that has gone away is no failure worth a message.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints an error, and gives the exit code for it.
fn fail(message: &dyn std::fmt::Display) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{message}");
    ExitCode::FAILURE
}

/// Prints what a command found out, or why it did not.
fn finish(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => print(&text),
        Err(message) => fail(&message),
    }
}

/// JSON for people and programs.
fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}")
}
