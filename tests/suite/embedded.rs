//! Balancers inside a program: started and stopped one after another.

use std::time::Duration;

use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::exchange::get;

#[test]
fn a_balancer_that_has_stopped_leaves_the_next_one_alone() {
    let apps = apps(1);
    let top = format!(
        "{SHARED}server: {{ threads: 2, grace_period_seconds: 0, graceful_shutdown_timeout_seconds: 0 }}\n"
    );
    for turn in 0..4 {
        let balancer = Balancer::start(&apps, &top, "", "");
        for _ in 0..20 {
            assert_eq!(get(balancer.address, "/", &[]).status, 200, "balancer {turn}");
        }
        drop(balancer);
        // Its threads end behind it, and the next one's would take their places.
        std::thread::sleep(Duration::from_millis(300));
    }
}
