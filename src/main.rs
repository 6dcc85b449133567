//! The binary: parse, run, exit code. Everything else lives in the library.

use std::process::ExitCode;

/// A proxy allocates and frees small pieces all the time; see `docs/decisions.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    steadfast::cli::main()
}
