//! The binary: parse, run, exit code. Everything else lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    steadfast::cli::main()
}
