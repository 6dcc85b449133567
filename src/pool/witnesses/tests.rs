use super::*;

const START: Now = Now { monotonic_ms: 10_000, unix_s: 1_700_000_000 };

/// A backend with users, each with a session id that was bound at some time.
struct Office {
    witnesses: Witnesses,
    now: Now,
    next_id: u64,
    random: u64,
    restarts: Vec<Restart>,
    lost: u32,
}

struct User {
    session: u64,
    born_s: u32,
}

impl Office {
    fn new() -> Self {
        let witnesses = Witnesses::default();
        Self { witnesses, now: START, next_id: 0, random: 1, restarts: Vec::new(), lost: 0 }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn user(&mut self) -> User {
        self.next_id += 1;
        // Digests are spread over all 64 bits.
        let session = self.next_id.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
        User { session, born_s: unix(self.now) }
    }

    fn users(&mut self, count: usize) -> Vec<User> {
        (0..count).map(|_| self.user()).collect()
    }

    fn wait(&mut self, ms: u64) {
        // Both clocks in step, with milliseconds.
        let ms = self.now.monotonic_ms + ms;
        self.now = Now { monotonic_ms: ms, unix_s: START.unix_s + (ms - START.monotonic_ms) / 1000 };
    }

    fn keep(&mut self, user: &User) {
        self.witnesses.kept(user.session, self.now);
    }

    /// The application gives the user another id.
    fn replace(&mut self, user: &mut User) {
        match self.witnesses.replaced(user.session, Some(user.born_s), self.now) {
            Replacement::Rotated => {}
            Replacement::Lost => self.lost += 1,
            Replacement::Restarted(restart) => {
                self.lost += restart.lost;
                self.restarts.push(restart);
            }
        }
        *user = self.user();
    }

    /// Everybody is answered once in each `every_s` seconds, for a while.
    fn work(&mut self, users: &[User], every_s: u64, for_s: u64) {
        for second in 0..for_s {
            for (n, user) in users.iter().enumerate() {
                if n as u64 % every_s == second % every_s {
                    self.keep(user);
                }
            }
            self.wait(1000);
        }
    }
}

#[test]
fn a_restart_is_seen_and_every_lost_session_is_counted() {
    let mut office = Office::new();
    let mut users = office.users(20);
    office.work(&users, 10, 300);
    let restarted_s = unix(office.now);
    for user in &mut users {
        office.replace(user);
        office.wait(150);
    }
    assert_eq!(office.lost, 20);
    let [restart] = office.restarts[..] else { panic!("{:?}", office.restarts) };
    assert_eq!((restart.lost, restart.within_s), (10, 1));
    assert!(restart.boundary_s <= restarted_s);
    // Life goes on, and so do logins.
    office.work(&users, 10, 100);
    users.iter_mut().take(3).for_each(|user| office.replace(user));
    assert_eq!(office.lost, 20, "a login after the restart is no loss");
}

#[test]
fn half_a_minute_of_work_is_enough_to_see_one() {
    let mut office = Office::new();
    let mut users = office.users(30);
    office.work(&users, 1, 30);
    users.iter_mut().for_each(|user| office.replace(user));
    assert_eq!((office.restarts.len(), office.lost), (1, 30));
}

#[test]
fn the_next_restart_is_seen_too() {
    let mut office = Office::new();
    let mut users = office.users(20);
    for restarts in 1..=3 {
        office.work(&users, 10, 300);
        users.iter_mut().for_each(|user| office.replace(user));
        assert_eq!((office.restarts.len(), office.lost), (restarts, 20 * u32::try_from(restarts).unwrap()));
    }
}

#[test]
fn the_boundary_lies_before_the_restart_whoever_logs_in_after_it() {
    let mut office = Office::new();
    let mut users: Vec<_> = (0..20)
        .map(|_| {
            office.wait(30_000);
            office.user()
        })
        .collect();
    office.work(&users, 10, 300);
    let restarted_s = unix(office.now);
    office.wait(3000);
    // New users come, try a wrong password for a while, and log in: three of each four replacements are theirs.
    let mut news = office.users(9);
    office.work(&news, 1, 8);
    let (mut losers, mut logins) = (users.iter_mut(), news.iter_mut());
    while office.restarts.is_empty() {
        office.replace(losers.next().expect("a restart is seen"));
        logins.by_ref().take(2).for_each(|user| office.replace(user));
    }
    assert!(office.restarts[0].boundary_s <= restarted_s, "{:?} {restarted_s}", office.restarts);
    assert!(office.restarts[0].boundary_s > 0, "some are older");
}

#[test]
fn an_application_that_changes_the_id_with_each_response_is_left_alone() {
    let mut office = Office::new();
    let mut users = office.users(50);
    for _ in 0..2000 {
        for user in &mut users {
            office.replace(user);
        }
        office.wait(1500);
    }
    assert_eq!(office.restarts, []);
}

#[test]
fn nor_one_that_changes_it_with_each_page_and_keeps_it_between() {
    for users in [5, 6, 12, 100] {
        let mut office = Office::new();
        let mut users = office.users(users);
        for second in 0..7200_u64 {
            for (n, user) in users.iter_mut().enumerate() {
                // Polls every third second, a page about every 40.
                if office.random(40) == 0 {
                    office.replace(user);
                } else if (second + n as u64).is_multiple_of(3) {
                    office.keep(user);
                }
            }
            office.wait(1000);
        }
        assert_eq!(office.restarts, [], "{} users", users.len());
    }
}

#[test]
fn nor_one_that_changes_it_every_ten_minutes() {
    let mut office = Office::new();
    let mut users = office.users(40);
    for second in 0..14_400_u64 {
        for (n, user) in users.iter_mut().enumerate() {
            if (second + n as u64 * 15) % 600 == 599 {
                office.replace(user);
            } else if office.random(20) == 0 {
                office.keep(user);
            }
        }
        office.wait(1000);
    }
    assert_eq!(office.restarts, []);
}

#[test]
fn a_storm_of_logins_in_the_morning_is_no_restart() {
    let mut office = Office::new();
    let mut logged_in: Vec<User> = Vec::new();
    let mut waiting: Vec<(u64, User)> = Vec::new();
    for second in 0..1800_u64 {
        // One or two come each second: a page, its requests for data, a password, and one in ten mistypes it.
        for _ in 0..1 + office.random(2) {
            let user = office.user();
            office.keep(&user);
            let takes = 8 + office.random(40);
            waiting.push((second + takes, user));
        }
        let (ready, still): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(at, _)| *at <= second);
        waiting = still;
        for (_, mut user) in ready {
            if office.random(10) == 0 {
                office.keep(&user);
                let again = second + 5 + office.random(10);
                waiting.push((again, user));
                continue;
            }
            office.replace(&mut user);
            logged_in.push(user);
        }
        for user in &logged_in {
            if office.random(30) == 0 {
                office.keep(user);
            }
        }
        office.wait(1000);
    }
    assert_eq!(office.restarts, []);
}

#[test]
fn nor_is_one_that_breaks_into_a_calm_day() {
    let mut office = Office::new();
    let at_work = office.users(40);
    office.work(&at_work, 10, 1800);
    // A shift begins: forty open the page, and all are logged in within 40 seconds.
    let mut shift = office.users(40);
    shift.iter().for_each(|user| office.keep(user));
    for user in &mut shift {
        office.work(&at_work, 10, 1);
        office.replace(user);
    }
    assert_eq!(office.restarts, []);
}

#[test]
fn nor_are_some_users_who_log_in_after_a_look_around() {
    let mut office = Office::new();
    let mut users = office.users(60);
    office.work(&users, 10, 1800);
    for second in 0..20 {
        office.replace(&mut users[second]);
        (0..4).for_each(|n| office.keep(&users[20 + (second * 4 + n) % 40]));
        office.wait(1000);
    }
    assert_eq!(office.restarts, []);
    // Nor five in the very same second, before anybody else is heard of.
    office.work(&users, 10, 600);
    users.iter_mut().take(5).for_each(|user| office.replace(user));
    assert_eq!(office.restarts, []);
}

/// Sixty users come once in each `every_s` seconds, spread evenly and not in their order. Whose turn is it?
fn has_turn(n: usize, every_s: u64, second: u64) -> bool {
    (n as u64 * 7 % 60) * every_s / 60 == second % every_s
}

#[test]
fn nor_are_many_who_log_in_at_once_while_the_others_are_silent() {
    for every_s in [10, 30, 150] {
        let mut office = Office::new();
        let mut users = office.users(60);
        for second in 0..3600 {
            users
                .iter()
                .enumerate()
                .filter(|(n, _)| has_turn(*n, every_s, second))
                .for_each(|(_, it)| office.keep(it));
            office.wait(1000);
        }
        // Twenty are asked for their password at once, whatever made the application do so.
        for user in users.iter_mut().take(20) {
            office.replace(user);
            office.wait(100);
        }
        assert_eq!(office.restarts, [], "each {every_s} s: the others will tell");
        // They do, while some more log in.
        let (early, survivors) = users.split_at_mut(26);
        let mut late = early.iter_mut().skip(20);
        for second in 0..60 {
            let survivors = survivors.iter().zip(26..);
            survivors.filter(|(_, n)| has_turn(*n, every_s, second)).for_each(|(it, _)| office.keep(it));
            if second % 10 == 4 {
                office.replace(late.next().unwrap());
            }
            office.wait(1000);
        }
        assert_eq!(office.restarts, [], "each {every_s} s");
    }
}

#[test]
fn a_restart_is_seen_within_seconds_however_seldom_each_comes() {
    for (every_s, within_s) in [(10, 6), (30, 8), (150, 20)] {
        let mut office = Office::new();
        let mut users = office.users(60);
        for second in 0..3600 {
            users
                .iter()
                .enumerate()
                .filter(|(n, _)| has_turn(*n, every_s, second))
                .for_each(|(_, it)| office.keep(it));
            office.wait(1000);
        }
        let mut second = 0;
        while office.restarts.is_empty() {
            assert!(second <= within_s, "each {every_s} s: not seen after {second} s");
            for n in (0..60).filter(|n| has_turn(*n, every_s, second)) {
                office.replace(&mut users[n]);
            }
            office.wait(1000);
            second += 1;
        }
    }
}

#[test]
fn sessions_that_expired_over_lunch_are_no_restart() {
    let mut office = Office::new();
    let mut users = office.users(60);
    office.work(&users, 10, 3600);
    office.wait(40 * 60 * 1000);
    for user in &mut users {
        office.replace(user);
        office.wait(500);
    }
    assert_eq!(office.restarts, []);
}

#[test]
fn one_client_alone_triggers_nothing() {
    let mut office = Office::new();
    let mut users = office.users(3);
    office.work(&users, 1, 600);
    for _ in 0..1000 {
        // Its one session again and again, known or not, and ids that nobody has confirmed.
        let one = &users[0];
        let seen = office.witnesses.replaced(one.session, Some(one.born_s), office.now);
        assert_eq!(seen, Replacement::Rotated);
        office.witnesses.kept(one.session, office.now);
        let mut other = office.user();
        office.replace(&mut other);
    }
    users.iter_mut().skip(1).for_each(|user| office.replace(user));
    assert_eq!(office.restarts, []);
}

#[test]
fn who_is_answered_without_a_look_at_the_session_does_not_hide_a_restart_for_long() {
    let mut office = Office::new();
    let mut users = office.users(60);
    office.work(&users, 3, 300);
    let (mut seen_after, mut lost): (Option<u64>, Vec<bool>) = (None, vec![false; 60]);
    for second in 0..300_u64 {
        for (n, user) in users.iter_mut().enumerate() {
            // Every tab asks for something public each third second; a page is asked for every 40 seconds or so.
            if office.random(40) == 0 && !lost[n] {
                lost[n] = true;
                office.replace(user);
            } else if n as u64 % 3 == second % 3 {
                office.keep(user);
            }
        }
        if !office.restarts.is_empty() {
            seen_after.get_or_insert(second);
        }
        office.wait(1000);
    }
    assert!(seen_after.is_some_and(|seconds| seconds <= 60), "{seen_after:?}");
    let gone = lost.iter().filter(|lost| **lost).count();
    assert_eq!(usize::try_from(office.lost), Ok(gone));
}

#[test]
fn a_client_without_a_token_is_lost_once_a_restart_is_known() {
    let mut office = Office::new();
    let mut users = office.users(20);
    office.work(&users, 10, 300);
    let silent = office.user();
    users.iter_mut().take(19).for_each(|user| office.replace(user));
    let last = users[19].session;
    assert_eq!(office.witnesses.replaced(last, None, office.now), Replacement::Lost);
    assert_eq!(
        office.witnesses.replaced(silent.session, None, office.now),
        Replacement::Rotated,
        "not known"
    );
}

#[test]
fn newcomers_do_not_push_witnesses_out_while_these_are_in_use() {
    let mut office = Office::new();
    let mut users = office.users(20);
    for _ in 0..60 {
        office.work(&users, 5, 5);
        for _ in 0..200 {
            let stranger = office.user();
            office.keep(&stranger);
        }
    }
    users.iter_mut().for_each(|user| office.replace(user));
    assert_eq!(office.lost, 20);
    // But a place that nobody has used for long is free.
    office.wait(u64::from(RECENT_S) * 1000 + 1000);
    let mut users = office.users(20);
    office.work(&users, 5, 300);
    users.iter_mut().for_each(|user| office.replace(user));
    assert_eq!(office.restarts.len(), 2);
}
