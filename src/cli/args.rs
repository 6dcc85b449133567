//! The words of the command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::admin::{Level, StateWord, Supposition};

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
    /// Show what a running balancer is doing
    Status(Reach),
    /// Watch pools, sessions and what happens, live, in the terminal
    Top(Top),
    /// Say what was lost and why, and whether timeouts fit
    Advise(Reach),
    /// Show how many sessions live where; look one up, or forget it
    Sessions(Sessions),
    /// Let a backend keep its sessions and take no new ones
    Drain(Drain),
    /// Let a backend take everything
    Ready(Change),
    /// Let a backend take nothing: its sessions move
    Maintain(Change),
    /// Put the configuration file of a running balancer in force
    Reload(Reload),
    /// Show how much is logged, or change it until the process ends
    LogLevel(LogLevel),
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
    /// The configuration file; without `--admin`, it alone is asked
    #[arg(short = 'c', long = "config", value_name = "FILE", required_unless_present = "admin")]
    pub(super) config: Option<PathBuf>,
    /// Ask a running balancer at this admin address
    #[arg(long, value_name = "ADDRESS|unix:PATH")]
    pub(super) admin: Option<String>,
    /// The request's method
    #[arg(value_name = "METHOD", required_unless_present = "request")]
    pub(super) method: Option<String>,
    /// The request's URL, or its path
    #[arg(value_name = "URL", required_unless_present = "request")]
    pub(super) url: Option<String>,
    /// Explain a recent request of a running balancer instead: by its number or its own id
    #[arg(long, value_name = "ID", value_parser = request, conflicts_with_all = ["method", "url", "suppose"])]
    pub(super) request: Option<String>,
    /// What if that backend of its pool were up, suspect, draining, down or in maintenance?
    #[arg(long = "if", value_name = "BACKEND=STATE", value_parser = supposition)]
    pub(super) suppose: Vec<Supposition>,
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

/// Where the running balancer is asked. The token is that of the configuration file, or of STEADFAST_ADMIN_TOKEN.
#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    /// The balancer's admin address; else that of the configuration file, of STEADFAST_ADMIN, or 127.0.0.1:9900
    #[arg(long, value_name = "ADDRESS|unix:PATH")]
    pub(super) admin: Option<String>,
    /// The configuration file that the balancer runs with, for the admin address and the token
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print the API's JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Top {
    /// The balancer's admin address; else that of the configuration file, of STEADFAST_ADMIN, or 127.0.0.1:9900
    #[arg(long, value_name = "ADDRESS|unix:PATH")]
    pub(super) admin: Option<String>,
    /// The configuration file that the balancer runs with, for the admin address and the token
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Sessions {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// The pool; all of them otherwise
    #[arg(value_name = "POOL", value_parser = name, required_if_eq_any = [("lookup", "true"), ("forget", "true")])]
    pub(super) pool: Option<String>,
    /// Say where one session lives; its id is read from standard input, so that it stands in no shell history
    #[arg(long)]
    pub(super) lookup: bool,
    /// Forget one session; its id is read from standard input
    #[arg(long, conflicts_with = "lookup")]
    pub(super) forget: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Change {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// The backend, such as app/app1
    #[arg(value_name = "POOL/BACKEND", value_parser = backend)]
    pub(super) backend: Backend,
}

#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    #[command(flatten)]
    pub(super) change: Change,
    /// Return when its sessions have ended or its deadline has passed
    #[arg(long)]
    pub(super) wait: bool,
    /// How long its sessions are kept, such as 30m; else as its pool has it
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) deadline: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct LogLevel {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// The level from now on
    #[arg(value_name = "LEVEL")]
    pub(super) level: Option<Level>,
}

/// A backend of a pool.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) pool: String,
    pub(super) backend: String,
}

fn backend(text: &str) -> Result<Backend, String> {
    let (pool, backend) = text.split_once('/').ok_or("write POOL/BACKEND, such as app/app1")?;
    Ok(Backend { pool: name(pool)?, backend: name(backend)? })
}

fn supposition(text: &str) -> Result<Supposition, String> {
    let (backend, state) = text.split_once('=').ok_or("write BACKEND=STATE, such as app2=draining")?;
    let state = StateWord::ALL.into_iter().find(|word| word.as_str() == state);
    let state = state.ok_or("the states are: up, suspect, draining, down, maintenance")?;
    Ok(Supposition { backend: name(backend)?, state })
}

/// What a request may be asked for by; safe in a path.
fn request(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match (1..=128).contains(&text.len()) && text.chars().all(legal) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no number or id of a request")),
    }
}

/// A name as the configuration takes it, which is safe in a path.
fn name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.starts_with('.') || !text.chars().all(legal) {
        return Err(format!("`{text}` is no name of a pool or backend"));
    }
    Ok(text.to_owned())
}
