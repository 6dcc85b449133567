//! Routes, through real sockets.

mod actions;
mod compress;
mod documented;
mod matching;
mod mirror;
mod split;
mod told;

use crate::support::app::App;
use crate::support::balancer::SHARED;

/// A configuration of one listener with these lines of YAML under `routes`, and a pool for each application, which has its
/// name.
fn configuration(apps: &[App], listener: &str, routes: &str) -> String {
    let pool = |app: &App| {
        let (name, address) = (&app.name, app.address);
        format!(
            "  {name}: {{ backends: [{{ id: {name}, address: \"{address}\" }}], affinity: {{ application_cookie: JSESSIONID }} }}\n"
        )
    };
    let pools: String = apps.iter().map(pool).collect();
    format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: web\n    address: 127.0.0.1:0\n{listener}    routes:\n{routes}\
         pools:\n{pools}"
    )
}
