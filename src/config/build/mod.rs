//! From a checked tree to [`Checked`], with the checks that look at more than one key.

mod addresses;
mod affinity;
mod listeners;
mod pools;
mod secrets;

use std::path::{Path, PathBuf};

use super::checked::{Checked, Server};
use super::keys;
use super::node::Node;
use super::report::{Problems, Report};
use super::values::Values;

/// Builds the configuration, or gives every problem.
pub(super) fn build(
    root: &Node,
    folder: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    mut report: Report<'_>,
) -> Result<Checked, Problems> {
    let root = Values::new(root, &keys::ROOT);
    let context = Context { folder, environment };
    let keys = secrets::keys(&root, &context, &mut report);
    let affinity_seed = secrets::affinity_seed(&root, &context, &mut report);
    let pools = pools::pools(&root, &mut report);
    let listeners = listeners::listeners(&root, &pools, &mut report);
    if report.has_errors() {
        return Err(report.finish().into());
    }
    Ok(Checked {
        server: server(&root.section("server"), &context),
        state_dir: context.path(&root, "state_dir").unwrap_or_default(),
        keys,
        affinity_seed,
        listeners,
        pools,
        warnings: report.finish(),
    })
}

/// Where relative paths and environment variables come from.
struct Context<'c> {
    folder: &'c Path,
    environment: &'c dyn Fn(&str) -> Option<String>,
}

impl Context<'_> {
    fn path(&self, values: &Values<'_>, key: &str) -> Option<PathBuf> {
        values.text(key).map(|path| self.folder.join(path))
    }
}

fn server(server: &Values<'_>, context: &Context<'_>) -> Server {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Server {
        threads: if server.has("threads") { server.number("threads") } else { cores() },
        work_stealing: server.boolean("work_stealing"),
        pid_file: context.path(server, "pid_file"),
        upgrade_sock: context.path(server, "upgrade_sock"),
        grace_period_seconds: server.number("grace_period_seconds"),
        graceful_shutdown_timeout_seconds: server.number("graceful_shutdown_timeout_seconds"),
        upstream_keepalive_pool_size: server.number("upstream_keepalive_pool_size"),
        ca_file: context.path(server, "ca_file"),
    }
}
