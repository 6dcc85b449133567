//! The printed page of what to try.

use std::net::SocketAddr;

pub(super) fn page(
    balancer: SocketAddr,
    dashboard: Option<SocketAddr>,
    control: SocketAddr,
    apps: &[(&str, SocketAddr)],
) -> String {
    let dashboard =
        dashboard.map(|dashboard| format!("  dashboard http://{dashboard}/\n")).unwrap_or_default();
    let apps: String = apps.iter().map(|(name, address)| format!("  {name}  http://{address}/\n")).collect();
    format!(
        "Steadfast is running.

  balancer  http://{balancer}/
{dashboard}{apps}
Each application keeps its sessions in memory, as Tomcat does. Try, in another terminal:

1. One session, one server: the count goes up, and the server stays the same.
     curl -s -c jar -b jar http://{balancer}/
     curl -s -c jar -b jar http://{balancer}/
     curl -s -c jar -b jar http://{balancer}/

2. The session's cookie alone is enough (the load-balancer cookie was lost).
     curl -s -b \"JSESSIONID=$(awk '/JSESSIONID/ {{print $7}}' jar)\" http://{balancer}/

3. Login replaces the session id; the session stays where it is.
     curl -s -c jar -b jar http://{balancer}/login
     curl -s -c jar -b jar http://{balancer}/

4. Stop a server that the session is not on: nothing happens to the session.
   Stop its own server: it moves once, and stays where it went when the first one is back.
     curl -s -X POST http://{control}/app1/stop
     curl -s -c jar -b jar http://{balancer}/
     curl -s -X POST http://{control}/app1/start
     curl -s -c jar -b jar http://{balancer}/

5. Many visitors are spread over all servers.
     for i in $(seq 12); do curl -s -A \"visitor $i\" http://{balancer}/; done

Stop the demonstration with Ctrl-C.
"
    )
}
