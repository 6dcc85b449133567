//! The trait serves for more than what is built in.

use std::collections::VecDeque;

use async_trait::async_trait;
use steadfast::discovery::{Answer, Fault, Found, Source};
use steadfast::names::BackendId;

use super::Watched;

/// What a source of the test's own does at each look.
#[derive(Debug)]
enum Step {
    Finds(&'static [(&'static str, u16)]),
    Fails,
    Panics,
}

#[derive(Debug)]
struct Scripted(VecDeque<Step>);

#[async_trait]
impl Source for Scripted {
    async fn next(&mut self) -> Result<Answer, Fault> {
        match self.0.pop_front() {
            Some(Step::Finds(backends)) => {
                let backend = |(id, port): &(&str, u16)| Found {
                    id: BackendId::new(id),
                    address: ([127, 0, 0, 1], *port).into(),
                    weight: 1,
                };
                Ok(backends.iter().map(backend).collect::<Vec<_>>().into())
            }
            Some(Step::Fails) => Err(Fault::new("it is tired")),
            Some(Step::Panics) => panic!("a source that panics on purpose"),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a_source_of_ones_own_may_fail_and_panic_and_only_its_changes_are_told() {
    let steps = [
        Step::Panics,
        Step::Finds(&[("b", 2), ("a", 1)]),
        Step::Finds(&[("a", 1), ("b", 2)]),
        Step::Fails,
        Step::Finds(&[("a", 1), ("b", 2)]),
        Step::Finds(&[("a", 9)]),
        Step::Finds(&[]),
    ];
    let calm = [Step::Finds(&[("c", 3)])];
    let watched = Watched::start(vec![
        ("app", Box::new(Scripted(steps.into()))),
        ("calm", Box::new(Scripted(calm.into()))),
    ]);
    watched.until("app", &[]).await;
    let expected: [&[&str]; 3] = [&["a 127.0.0.1:1 1", "b 127.0.0.1:2 1"], &["a 127.0.0.1:9 1"], &[]];
    assert_eq!(watched.told("app"), expected, "each change once, and nothing else");
    assert_eq!(watched.told("calm"), [["c 127.0.0.1:3 1"]], "another source's panic is not its matter");
}
