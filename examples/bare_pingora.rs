//! A Pingora proxy with nothing in it: the floor that `bench_floor` and `bench_idle` measure against.
//! `bare_pingora LISTEN BACKEND`

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::Result;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

struct Bare(SocketAddr);

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, listen, backend] = arguments.as_slice() else { return eprintln!("bare_pingora LISTEN BACKEND") };
    let Ok(backend) = backend.parse() else { return eprintln!("{backend} is no address") };
    let conf = ServerConf { threads: 1, work_stealing: false, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare(backend));
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}
