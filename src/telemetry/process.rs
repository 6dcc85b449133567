//! What the system tells of this process.

use std::fs;

/// What the system tells of this process; `None`: it does not tell.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Process {
    /// CPU time, user and system, in seconds.
    pub cpu_s: Option<f64>,
    /// Memory in RAM, in bytes.
    pub resident: Option<u64>,
    /// Address space, in bytes.
    pub virtual_size: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// File descriptors that may be open.
    pub most_files: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// When it began, in seconds since 1970.
    pub started_s: Option<f64>,
}

impl Process {
    /// Reads `/proc`. Not for the path of a request.
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Behind the program's name, which may have blanks and brackets in it; proc(5) counts from 1, from before it.
        let fields: Vec<&str> =
            status.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        let times = field(14).zip(field(15)).map(|(user, system)| seconds(user + system, ticks));
        let boot = fs::read_to_string("/proc/stat").ok();
        let boot = boot.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("btime ")));
        let boot = boot.and_then(|text| text.trim().parse::<u32>().ok());
        let files = fs::read_dir("/proc/self/fd").ok();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            cpu_s: times,
            resident: field(24).map(|pages| pages.saturating_mul(page)),
            virtual_size: field(23),
            // Without the one that lists them.
            open_files: files.and_then(|files| u64::try_from(files.count().saturating_sub(1)).ok()),
            most_files: limit,
            threads: field(20),
            started_s: field(22).zip(boot).map(|(after, boot)| f64::from(boot) + seconds(after, ticks)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a process's life are far below 2^52")]
fn seconds(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    #[test]
    fn the_system_tells_of_this_process() {
        let process = Process::read();
        assert!(process.resident.is_some_and(|bytes| bytes > 1024 * 1024), "{process:?}");
        assert!(process.virtual_size > process.resident, "{process:?}");
        assert!(
            process.open_files.is_some_and(|files| files >= 3 && Some(files) <= process.most_files),
            "{process:?}"
        );
        assert!(process.threads.is_some_and(|threads| threads >= 1), "{process:?}");
        let now = f64::from(u32::try_from(Now::read().unix_s).unwrap());
        let started = process.started_s.unwrap();
        assert!(started <= now + 2.0 && started > now - 7.0 * 86400.0, "{process:?}");
        assert!(process.cpu_s.is_some_and(|cpu| (0.0..86400.0).contains(&cpu)), "{process:?}");
    }
}
