//! The words of the command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A load balancer that keeps every session on the server that holds it.
#[derive(Debug, Parser)]
#[command(name = "steadfast", version, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the balancer
    Run(Run),
    /// Check a configuration: every problem with its position
    Check(Check),
    /// Start three session applications and a balancer before them, and print what to try
    Demo(Demo),
    /// Say where a request would go, and why
    Explain(Explain),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print the reference of the configuration as Markdown
    #[command(hide = true)]
    Reference,
    /// Print completions for a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Take over from the process that serves with this configuration, without losing a request or a session
    #[arg(long)]
    pub(super) upgrade: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Print the problems as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Port of the balancer; the applications take any free ones
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    pub(super) port: u16,
}

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The request's method
    #[arg(value_name = "METHOD")]
    pub(super) method: String,
    /// The request's URL, or its path
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// A header field of the request, as with curl
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// The client's address
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(super) from: IpAddr,
    /// The listener that receives the request; the first one otherwise
    #[arg(long, value_name = "NAME")]
    pub(super) listener: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
