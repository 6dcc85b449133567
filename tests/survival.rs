//! Each incident of the survival program, played on Steadfast: `make survival` also plays them on others.
//!
//! The program is an example, which `cargo test` builds beside the tests.

#[cfg(test)]
mod played {
    use std::path::PathBuf;
    use std::process::Command;

    /// Plays one incident; Steadfast must come through it.
    fn clean(number: u32) {
        let tests = std::env::current_exe().unwrap();
        let program: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples/survival");
        assert!(program.exists(), "{} is missing: `cargo build --example survival`", program.display());
        let played = Command::new(program)
            .args(["--contender", "Steadfast", "--only", &number.to_string()])
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&played.stdout).into_owned() + &String::from_utf8_lossy(&played.stderr);
        assert!(played.status.success(), "incident {number}:\n{said}");
    }

    macro_rules! incidents {
        ($($name:ident = $number:literal,)*) => {
            $(#[test] fn $name() { clean($number); })*
        };
    }

    incidents! {
        steady = 1,
        two_backends_added_under_load = 2,
        drain = 3,
        backend_killed = 4,
        backend_killed_and_back = 5,
        reload_without_change = 6,
        upgrade_to_a_new_process = 7,
        fail_over_to_a_second_replica = 8,
        each_request_to_any_of_three_replicas = 9,
        client_address_changes = 10,
        six_parallel_first_requests = 11,
        login_with_requests_in_flight = 12,
        logout_then_login = 13,
        balancer_cookie_lost = 14,
        application_cookie_lost = 15,
        path_only = 16,
        new_address_under_the_same_id = 17,
        two_applications_with_one_cookie_name = 18,
        backend_stands_still = 19,
        restart_within_one_health_interval = 20,
        forged_and_foreign_tokens = 21,
        key_rotation_with_late_replicas = 22,
        backend_full = 23,
        web_socket_reconnects = 24,
        hundred_first_streams = 25,
        shared_cache_in_front = 26,
        load_spread = 27,
        six_at_once_after_a_death = 28,
        health_page_fails = 29,
        balancer_killed = 30,
    }
}
