//! Chooses the pool by a tenant header: `X-Tenant: reports` goes to the pool `reports`, whatever the routes say,
//! and a tenant that nobody knows is told so. `cargo run --example tenant_pool -- FILE`

use std::collections::HashSet;

use http::StatusCode;
use steadfast::hooks::{Answer, BoxError, Hook, RequestView, Verdict};
use steadfast::names::PoolName;
use steadfast::{Error, Steadfast};

struct TenantPool {
    tenants: HashSet<String>,
}

impl Hook for TenantPool {
    type State = ();

    fn on_request(&self, request: &mut RequestView<'_>, _state: &mut ()) -> Result<Verdict, BoxError> {
        let Some(tenant) = request.header("x-tenant") else { return Ok(Verdict::Continue) };
        let tenant = std::str::from_utf8(tenant)?;
        if self.tenants.contains(tenant) {
            return Ok(Verdict::Pool(PoolName::new(tenant)));
        }
        Ok(Verdict::Answer(Answer::new(StatusCode::FORBIDDEN).body("text/plain", "unknown tenant\n")))
    }
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "conf/tomcat.yaml".to_owned());
    let tenants = arguments.collect();
    Steadfast::from_file(file)?.hook(TenantPool { tenants }).run()
}
