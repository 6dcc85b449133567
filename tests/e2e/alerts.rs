//! Loss alerts before real Tomcats: a restart between two checks is seen, with its class and its number; logins, which
//! rename sessions on the same Tomcats, raise none.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;

use crate::support::client::{Browser, Cookies};
use crate::support::eventually::eventually;
use crate::support::ports::Port;
use crate::support::steadfast::Steadfast;
use crate::support::tomcat::Tomcat;
use crate::{Total, source, turns};

const BROWSERS: u32 = 60;

/// Long enough that a restart goes by between two checks.
const HEALTH: &str = "    health: { http: { path: /examples/ }, interval: 10m, timeout: 5s }\n";

static TURN: Mutex<()> = Mutex::const_new(());

struct Watched {
    steadfast: Steadfast,
    admin: Port,
    tomcats: Vec<Tomcat>,
}

impl Watched {
    async fn start() -> Self {
        let tomcats = Tomcat::start_all(&["tomcat1", "tomcat2"]).await;
        let (port, admin) = (Port::reserve(), Port::reserve());
        let backend =
            |tomcat: &Tomcat| format!("{{ id: {}, address: '{}' }}", tomcat.name(), tomcat.address());
        let backends: Vec<_> = tomcats.iter().map(backend).collect();
        let yaml = format!(
            "version: 1\nstate_dir: state\nadmin: {{ listen: '{}' }}\nlisteners:\n  - name: web\n    address: '{}'\n    \
             routes: [ {{ pool: app }} ]\npools:\n  app:\n    backends: [ {} ]\n    \
             affinity: {{ application_cookie: JSESSIONID }}\n{HEALTH}",
            admin.address(),
            port.address(),
            backends.join(", ")
        );
        Self { steadfast: Steadfast::start(port, &yaml).await, admin, tomcats }
    }

    async fn ask(&self, path: &str) -> Value {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.get(format!("http://{}{path}", self.admin.address())).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    async fn incidents(&self) -> Vec<Value> {
        self.ask("/v1/advice").await["incidents"].as_array().unwrap().clone()
    }

    fn browsers(&self) -> Vec<Browser> {
        let url = self.steadfast.url();
        let browser = |number| Browser::new(&url, source(number), &format!("Browser-{number}"), Cookies::All);
        (0..BROWSERS).map(browser).collect()
    }
}

/// Everybody is at work for a while: only sessions that were confirmed for some seconds testify.
async fn work(mut browsers: Vec<Browser>, seconds: u64) -> Vec<Browser> {
    for _ in 0..seconds {
        browsers = turns(browsers, 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    browsers
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn a_restart_between_two_checks_raises_one_alert_with_its_class_and_number() {
    let _turn = TURN.lock().await;
    let mut watched = Watched::start().await;
    let browsers = work(watched.browsers(), 30).await;
    Total::of(&browsers).assert_clean();
    let victims: BTreeSet<_> = browsers
        .iter()
        .filter(|browser| browser.seen.server.as_deref() == Some("tomcat1"))
        .map(|browser| browser.name.clone())
        .collect();
    assert!((10..50).contains(&victims.len()), "{} of {BROWSERS}", victims.len());
    assert_eq!(watched.incidents().await, Vec::<Value>::new());
    watched.tomcats[0].restart().await;
    let browsers = work(browsers, 10).await;
    let total = Total::of(&browsers);
    assert_eq!(
        (total.lost, total.faults.len()),
        (victims.len(), 0),
        "each loses its session once: {total:?}"
    );
    let incident = eventually("the incident is over", async || {
        let incidents = watched.incidents().await;
        incidents.into_iter().find(|incident| incident["is_over"] == true)
    })
    .await;
    println!("{incident:#}");
    assert_eq!(watched.incidents().await.len(), 1, "one incident");
    assert_eq!((&incident["backend"], &incident["restarted"]), (&Value::from("tomcat1"), &Value::from(true)));
    assert_eq!(incident["lost_at_home"], victims.len(), "the number of lost sessions");
    assert_eq!(
        (&incident["lost_after_move"], &incident["lost_no_proof"]),
        (&Value::from(0), &Value::from(0))
    );
    let text = incident["text"].as_str().unwrap();
    let said = format!("tomcat1 lost {} sessions within", victims.len());
    let cause = "while its health check never failed: it probably restarted";
    assert!(
        text.starts_with(&said) && text.contains("all under /examples") && text.ends_with(cause),
        "{text}"
    );
    assert!(watched.steadfast.said().contains(text), "the log says so, too");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's tomcat10: make e2e"]
async fn logins_that_rename_sessions_raise_no_alert() {
    let _turn = TURN.lock().await;
    let watched = Watched::start().await;
    let mut browsers = work(watched.browsers(), 20).await;
    // A third of them logs in, one after the other, in the shortest time.
    for browser in browsers.iter_mut().take(20) {
        browser.log_in().await;
    }
    let browsers = work(browsers, 20).await;
    Total::of(&browsers).assert_clean();
    let requests = watched.ask("/v1/requests").await.to_string();
    assert!(requests.contains("\"rotated\""), "sessions were renamed, or this proves nothing");
    assert_eq!(watched.incidents().await, Vec::<Value>::new());
    assert!(!watched.steadfast.said().contains("lost"), "{}", watched.steadfast.said());
}
