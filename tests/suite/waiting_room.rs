//! The waiting room: who came first goes in first, and running sessions do not notice.

use std::time::Duration;

use crate::support::balancer::{Balancer, SHARED, apps};
use crate::support::exchange::{Response, get};

const ROOM: &str = "    waiting_room: { sessions: 2, length: 3, refresh: 2s, patience: 4s }\n";

fn visit(balancer: &Balancer, who: &str, cookies: &str) -> Response {
    let (who, cookies) = (format!("User-Agent: {who}"), format!("Cookie: {cookies}"));
    get(balancer.address, "/", &[&who, &cookies, "Accept: text/html"])
}

fn place(response: &Response) -> &str {
    assert_eq!(response.status, 503, "{response:?}");
    response.body.split_once("<strong>").unwrap().1.split('<').next().unwrap()
}

fn pass(response: &Response) -> String {
    response.cookie("steadfast-wait-").unwrap()
}

#[test]
fn who_came_first_goes_in_first_and_running_sessions_do_not_notice() {
    let apps = apps(2);
    let balancer = Balancer::start(&apps, SHARED, "", ROOM);
    let [first, second] = ["first", "second"].map(|who| visit(&balancer, who, "").cookies());
    let third = visit(&balancer, "third", "");
    assert_eq!(place(&third), "1");
    assert_eq!((third.all("refresh"), third.all("retry-after")), (vec!["2"], vec!["2"]));
    assert_eq!(third.all("cache-control"), ["private, no-store"]);
    let fourth = visit(&balancer, "fourth", "");
    assert_eq!(place(&fourth), "2");
    assert_eq!(place(&visit(&balancer, "third", &pass(&third))), "1", "it keeps its turn");
    let invented = visit(&balancer, "fifth", "JSESSIONID=invented; steadfast-wait-a68b02=invented");
    assert_eq!(place(&invented), "3", "an invented session or pass leads nowhere");
    assert_eq!(visit(&balancer, "sixth", "").status, 503);
    assert!(visit(&balancer, "sixth", "").cookie("steadfast-wait-").is_none(), "the line is full");
    for cookies in [&first, &second] {
        let answer = visit(&balancer, "anybody", cookies);
        assert_eq!((answer.status, answer.word("fresh=")), (200, "false"), "{answer:?}");
    }
    // Somebody goes; whoever came first takes the place, though the others ask, too.
    let gone = get(balancer.address, "/logout", &[&format!("Cookie: {first}")]);
    assert_eq!(gone.status, 200);
    let (mut third, mut fourth) = (pass(&third), pass(&fourth));
    let entered = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let answer = visit(&balancer, "fourth", &fourth);
        assert_eq!(answer.status, 503, "nobody overtakes: {answer:?}");
        fourth = pass(&answer);
        let answer = visit(&balancer, "third", &third);
        third = pass(&answer);
        (answer.status == 200).then_some(answer)
    });
    let entered = entered.expect("the first in the line goes in");
    assert_eq!(place(&visit(&balancer, "fourth", &fourth)), "1");
    // What it was given leads back, and past the line, also where it has no session yet.
    assert_eq!(visit(&balancer, "third", &entered.cookies()).word("fresh="), "false");
    assert_eq!(visit(&balancer, "third", &pass(&entered)).status, 200);
    let echo =
        get(balancer.address, "/echo", &[&format!("Cookie: {}; {}", entered.cookies(), pass(&entered))]);
    assert!(echo.body.contains("JSESSIONID=") && !echo.body.contains("steadfast-wait"), "{}", echo.body);
}

#[test]
fn another_replica_takes_a_visitor_in_where_it_belongs() {
    let apps = apps(1);
    let room = ROOM.replace("sessions: 2", "sessions: 1");
    let [one, two] = [(), ()].map(|()| Balancer::start(&apps, SHARED, "", &room));
    for balancer in [&one, &two] {
        assert_eq!(visit(balancer, "first", "").status, 200);
    }
    let early = visit(&one, "early", "");
    let late = (0..100)
        .map(|_| std::thread::sleep(Duration::from_millis(20)))
        .nth(60)
        .map(|()| visit(&two, "late", ""));
    assert_eq!(place(&late.unwrap()), "1");
    assert_eq!(place(&visit(&two, "early", &pass(&early))), "1", "it came before");
}

#[test]
fn a_page_of_ones_own_says_the_place() {
    let apps = apps(1);
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("wait.html");
    std::fs::write(&page, "<p>No. {place}, again in {refresh} s</p>").unwrap();
    let room = format!("    waiting_room: {{ sessions: 1, page: \"{}\" }}\n", page.display());
    let balancer = Balancer::start(&apps, SHARED, "", &room);
    assert_eq!(visit(&balancer, "first", "").status, 200);
    assert_eq!(visit(&balancer, "second", "").body, "<p>No. 1, again in 10 s</p>");
    let plain = get(balancer.address, "/", &["User-Agent: third"]);
    assert!(plain.status == 503 && plain.body.contains("place in the line: 2"), "{plain:?}");
}
