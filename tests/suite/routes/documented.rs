//! The examples of the routing page.

use std::path::Path;

use steadfast::config::{self, Severity};

/// The YAML blocks of a page.
fn examples(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_example_of_the_routing_page_loads() {
    let examples = examples("docs/routing.md");
    assert!(examples.len() >= 2);
    for example in &examples {
        let listener: String = example.lines().map(|line| format!("    {line}\n")).collect();
        let pools: String = ["app", "canary", "reports", "shadow"]
            .map(|pool| format!("  {pool}: {{ backends: [{{ id: {pool}1, address: \"10.0.0.1:80\" }}] }}\n"))
            .concat();
        let routes = if example.contains("routes:") { "" } else { "    routes: [{ pool: app }]\n" };
        let text = format!(
            "version: 1\nlisteners:\n  - name: web\n    address: 127.0.0.1:0\n{listener}{routes}pools:\n{pools}"
        );
        let checked =
            config::parse(&text, Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/x.yaml").as_path());
        let checked = checked.unwrap_or_else(|problems| panic!("{problems}\n{example}"));
        let is_meant = |problem: &&config::Problem| {
            problem.severity != Severity::Warning || problem.message.contains("no route leads to pool")
        };
        let warned = checked.warnings.iter().find(|problem| !is_meant(problem));
        assert!(warned.is_none(), "{warned:?}\n{example}");
    }
}
