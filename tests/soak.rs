//! Reloads, upgrades and failing upgrades under load: no request fails, no connection is reset, no session is lost.
//!
//! The load is HTTP/1 and HTTP/2, in cleartext and over TLS, whose certificate each reload replaces.
//!
//! Twenty seconds by default; `make soak` lets it run for two minutes. `SOAK_SECONDS` says how long.

#[cfg(test)]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;

#[cfg(test)]
mod soak {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;
    use std::time::{Duration, Instant};

    use nix::sys::signal::Signal;

    use crate::support::app::App;
    use crate::support::balancer::apps;
    use crate::support::exchange::get;
    use crate::support::load::{Load, SERVER_NAME};
    use crate::support::ports::Port;
    use crate::support::program::{Program, text};
    use crate::support::tls::Authority;

    const RELOADS: usize = 30;
    const UPGRADES: usize = 5;
    const CLIENTS: usize = 64;
    const PAUSE: Duration = Duration::from_millis(90);

    /// What happens to the balancer, step by step.
    struct Course {
        program: Program,
        apps: Vec<App>,
        authority: Authority,
        secure: Port,
        more: Port,
        reloads: usize,
        upgrades: usize,
    }

    /// The file with a listener for TLS before its pools, whose certificate is a new one at each call.
    fn with_tls(secure: &Port, authority: &Authority, file: &str) -> String {
        let listener = format!(
            "  - {{ name: secure, address: \"{}\", routes: [ {{ pool: app }} ], tls: {{ certificates: [ {{ {} }} ], http2: true }} }}\npools:",
            secure.address(),
            authority.issue("site", &[SERVER_NAME], "site")
        );
        file.replace("pools:", &listener)
    }

    impl Course {
        /// The file as it is to be at this step: backends come, go and change their weight.
        fn file(&self, with_more: bool) -> String {
            let step = self.reloads;
            let named: Vec<_> =
                self.apps.iter().enumerate().filter(|(at, _)| *at < 4 || step % (*at - 1) < 2).collect();
            let mut file = with_tls(&self.secure, &self.authority, &text(self.program.address, &[], ""));
            let backends: Vec<_> = named
                .iter()
                .map(|(at, app)| {
                    let weight = 1 + (step + at) % 3;
                    format!("{{ id: {}, address: \"{}\", weight: {weight} }}", app.name, app.address)
                })
                .collect();
            file = file.replace("backends: [  ]", &format!("backends: [ {} ]", backends.join(", ")));
            if with_more {
                let listener = format!(
                    "  - {{ name: more, address: \"{}\", routes: [ {{ pool: app }} ] }}\npools:",
                    self.more.address()
                );
                file = file.replace("pools:", &listener);
            }
            file
        }

        fn reload(&mut self) {
            self.reloads += 1;
            self.program.reload(&self.file(false), "configuration reloaded");
        }

        fn upgrade(&mut self) {
            self.upgrades += 1;
            if self.upgrades == 3 {
                // With another listener, which a reload finds out by itself.
                self.program.reload(&self.file(true), "upgraded: process");
                assert_eq!(get(self.more.address(), "/plain", &[]).status, 200);
                self.program.reload(&self.file(false), "upgraded: process");
                self.upgrades += 1;
                return;
            }
            self.program.signal(Signal::SIGUSR2, "upgraded: process");
        }

        fn fail_to_upgrade(&self, how: usize) {
            let (good, binary) = (fs::read_to_string(self.program.file()).unwrap(), self.program.binary());
            let aside = binary.with_extension("aside");
            match how {
                0 => {
                    fs::write(self.program.file(), good.replace("pools:", "pulls:")).unwrap();
                    self.program.signal(Signal::SIGUSR2, "not upgraded");
                    fs::write(self.program.file(), good).unwrap();
                    return;
                }
                1 => fs::rename(&binary, &aside).unwrap(),
                _ => {
                    fs::rename(&binary, &aside).unwrap();
                    fs::write(&binary, "#!/bin/sh\nkill -9 $$\n").unwrap();
                    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
            self.program.signal(Signal::SIGUSR2, "not upgraded");
            fs::rename(&aside, &binary).unwrap();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "tells how fast the clients asked")]
    #[test]
    fn nothing_drops_while_everything_changes() {
        let seconds = std::env::var("SOAK_SECONDS").map_or(20, |text| text.parse().unwrap());
        let mut course = {
            let apps = apps(6);
            let (port, secure, authority) = (Port::reserve(), Port::reserve(), Authority::new());
            let file = with_tls(&secure, &authority, &text(port.address(), &apps, ""));
            let program = Program::run(port, &file);
            Course { program, apps, authority, secure, more: Port::reserve(), reloads: 0, upgrades: 0 }
        };
        let began = Instant::now();
        let load = Load::with(course.program.address, CLIENTS / 2, PAUSE);
        let secure = Load::over_tls(course.secure.address(), &course.authority, CLIENTS / 2, PAUSE);
        let events = RELOADS + UPGRADES + 3 - 1;
        let pace = Duration::from_secs(seconds) / u32::try_from(events).unwrap();
        for event in 0..events {
            match event % 9 {
                4 => course.upgrade(),
                8 if event / 9 < 3 => course.fail_to_upgrade(event / 9),
                _ if course.reloads < RELOADS => course.reload(),
                _ => course.upgrade(),
            }
            thread::sleep(pace.saturating_sub(Duration::from_millis(200)));
        }
        assert!(
            course.reloads >= RELOADS && course.upgrades >= UPGRADES,
            "{} {}",
            course.reloads,
            course.upgrades
        );
        load.wait(CLIENTS);
        secure.wait(CLIENTS);
        let (plain, over_tls, took) = (load.asked(), secure.asked(), began.elapsed());
        println!(
            "{plain} requests in cleartext and {over_tls} over TLS in {took:.0?} ({:.0} a second), {} reloads, {} upgrades, 3 that failed",
            (plain + over_tls) as f64 / took.as_secs_f64(),
            course.reloads,
            course.upgrades
        );
        load.end();
        secure.end();
    }
}
