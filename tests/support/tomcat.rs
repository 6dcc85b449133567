//! Real Tomcats with the examples web application, from Debian's packages tomcat10 and tomcat10-examples.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::eventually::eventually;
use super::ports::Port;

/// Where Debian puts the program.
const HOME: &str = "/usr/share/tomcat10";

/// Where Debian puts the servlet examples.
const EXAMPLES: &str = "/usr/share/tomcat10-examples/examples";

/// A small, quickly started Java; English, since the test reads the pages.
const JAVA: &str = "-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.language=en";

/// Who may log in to the examples' protected page.
pub(crate) const USERS: &str =
    "<tomcat-users><user username=\"user\" password=\"user\" roles=\"tomcat\"/></tomcat-users>";

/// One Tomcat: a child process with its own directory, its own process group and its own port.
///
/// Its sessions live in its memory only. It is killed when dropped.
pub(crate) struct Tomcat {
    name: String,
    base: TempDir,
    port: Port,
    child: Child,
}

impl Tomcat {
    /// Starts one Tomcat for each name, side by side, and waits until all of them answer.
    pub(crate) async fn start_all(names: &[&str]) -> Vec<Self> {
        let mut all: Vec<Self> = names.iter().map(|name| Self::spawn(name)).collect();
        for tomcat in &mut all {
            tomcat.ready().await;
        }
        all
    }

    /// The name that it also gives in the `Server` header of its responses.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where it listens, as the beginning of a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Ends it as `kill -9` does: nothing is said to clients, all its sessions are gone.
    pub(crate) fn kill(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        // Both fail only for a process that has ended, which is what is wanted.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// Starts it anew at the same address and waits until it answers.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.child = run(self.base.path());
        self.ready().await;
    }

    fn spawn(name: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let port = Port::reserve();
        for folder in ["conf", "logs", "temp", "webapps", "work"] {
            fs::create_dir(base.path().join(folder)).unwrap();
        }
        fs::write(base.path().join("conf/server.xml"), server_xml(name, port.address())).unwrap();
        fs::write(base.path().join("conf/users.xml"), USERS).unwrap();
        // Debian's defaults for every web application: the default servlet and the welcome pages.
        fs::copy(Path::new(HOME).join("etc/web.xml"), base.path().join("conf/web.xml"))
            .expect("Debian's packages tomcat10 and tomcat10-examples are installed");
        let child = run(base.path());
        Self { name: name.to_owned(), base, port, child }
    }

    /// Waits until the examples answer.
    async fn ready(&mut self) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = format!("{}/examples/", self.url());
        eventually("Tomcat answers", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = fs::read_to_string(self.base.path().join("logs/out")).unwrap_or_default();
                panic!("{} ended at once: {status}\n{log}", self.name);
            }
            http.get(&page).send().await.ok().filter(|response| response.status().is_success())
        })
        .await;
    }
}

impl Drop for Tomcat {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts Java on `base`. `setpriv` sees to it that it also ends when the test is killed.
fn run(base: &Path) -> Child {
    let out = File::options().create(true).append(true).open(base.join("logs/out")).unwrap();
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(Path::new(HOME).join("bin/catalina.sh"))
        .arg("run")
        .env("CATALINA_HOME", HOME)
        .env("CATALINA_BASE", base)
        .env("CATALINA_OPTS", JAVA)
        .current_dir(base)
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .process_group(0)
        .spawn()
        .unwrap()
}

/// The smallest server: one connector, one host, one web application, no shutdown port, no saved sessions.
fn server_xml(name: &str, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        r#"<Server port="-1">
  <Service name="Catalina">
    <Connector protocol="HTTP/1.1" address="{ip}" port="{port}" server="{name}"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Realm className="org.apache.catalina.realm.MemoryRealm" pathname="conf/users.xml"/>
      <Host name="localhost" appBase="webapps" autoDeploy="false" deployOnStartup="false">
        <Context path="/examples" docBase="{EXAMPLES}">
          <Manager pathname=""/>
        </Context>
      </Host>
    </Engine>
  </Service>
</Server>
"#
    )
}
