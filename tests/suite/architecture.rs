//! The arrows between rooms go one way, and files stay small.

use std::fs;
use std::path::{Path, PathBuf};

/// Which room may use which; `names` and `clock` are free for all.
const ARROWS: &[(&str, &[&str])] = &[
    ("names", &[]),
    ("clock", &[]),
    ("tls", &[]),
    ("config", &["tls"]),
    ("pool", &[]),
    ("route", &["affinity"]),
    ("telemetry", &[]),
    ("affinity", &["pool"]),
    ("hooks", &["pool", "affinity"]),
    ("health", &["pool"]),
    ("store", &["affinity", "pool"]),
    ("limits", &[]),
    ("listen", &["limits", "tls"]),
    (
        "snapshot",
        &[
            "config",
            "tls",
            "route",
            "pool",
            "affinity",
            "health",
            "store",
            "telemetry",
            "discovery",
            "limits",
        ],
    ),
    ("l7", &["limits", "snapshot", "route", "affinity", "pool", "health", "hooks", "telemetry", "listen"]),
    (
        "lifecycle",
        &[
            "limits",
            "config",
            "snapshot",
            "store",
            "affinity",
            "pool",
            "health",
            "discovery",
            "listen",
            "tls",
            "telemetry",
        ],
    ),
    ("l4", &["snapshot", "route", "affinity", "pool", "health", "telemetry", "listen"]),
    ("discovery", &["pool"]),
    (
        "admin",
        &[
            "config",
            "snapshot",
            "telemetry",
            "lifecycle",
            "listen",
            "route",
            "affinity",
            "pool",
            "store",
            "pulse",
        ],
    ),
    ("pulse", &["snapshot", "telemetry", "lifecycle", "affinity", "pool"]),
    ("error", &["lifecycle", "config", "listen", "snapshot", "tls"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn arrows_go_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&root) {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let room = name.split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == room) else {
            assert!(
                ["app", "cli", "lib", "main"].contains(&room),
                "`{room}` is a new room: give it its arrows"
            );
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let text = code.collect::<Vec<_>>().join("\n");
        for used in text
            .split("crate::")
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
        {
            let free = used == room || used == "names" || used == "clock" || used.is_empty();
            assert!(free || allowed.contains(&used), "{name} uses `{used}`, which is no arrow of `{room}`");
        }
    }
}

#[test]
fn pure_rooms_know_nothing_of_pingora() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for room in ["affinity", "pool", "route", "config", "telemetry"] {
        for file in sources(&root.join(room)) {
            let text = fs::read_to_string(&file).unwrap().replace("pingora_ketama", "");
            assert!(!text.contains("pingora::") && !text.contains("pingora_"), "{}", file.display());
        }
    }
}

#[test]
fn files_stay_small() {
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 500, "{} has {lines} lines", file.display());
    }
}
