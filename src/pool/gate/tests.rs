//! Tests of the gate.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    connections: 2,
    queue_length: 3,
    queue_wait: Duration::from_secs(1),
    existing_sessions_first: true,
};

const AT: BackendIndex = BackendIndex(0);

impl Waiting {
    fn now(&mut self) -> Result<Permit, TryRecvError> {
        self.try_place().map(|place| place.permit)
    }
}

fn wait(entry: Entry) -> Waiting {
    match entry {
        Entry::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

fn go(entry: Entry) -> Permit {
    match entry {
        Entry::Go(permit) => permit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn running_sessions_go_in_before_new_ones() {
    let gate = Arc::new(Gate::default());
    let inside = [go(gate.ask(&LIMITS, Asker::New, AT)), go(gate.ask(&LIMITS, Asker::New, AT))];
    let mut new = wait(gate.ask(&LIMITS, Asker::New, AT));
    let mut existing = wait(gate.ask(&LIMITS, Asker::Existing, AT));
    assert_eq!((gate.in_flight(), gate.waiting()), (2, 2));
    let [first, second] = inside;
    drop(first);
    let permit = existing.now().unwrap();
    assert!(new.now().is_err());
    drop(second);
    let other = new.now().unwrap();
    assert_eq!(gate.in_flight(), 2);
    drop((permit, other));
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
}

#[test]
fn the_queue_is_bounded_and_forgets_who_left() {
    let gate = Arc::new(Gate::default());
    let _inside = [go(gate.ask(&LIMITS, Asker::New, AT)), go(gate.ask(&LIMITS, Asker::New, AT))];
    let waiting: Vec<_> = (0..3).map(|_| wait(gate.ask(&LIMITS, Asker::Existing, AT))).collect();
    assert!(matches!(gate.ask(&LIMITS, Asker::Existing, AT), Entry::Full));
    drop(waiting);
    let mut next = wait(gate.ask(&LIMITS, Asker::Existing, AT));
    assert_eq!(gate.waiting(), 1);
    assert!(next.now().is_err());
}

#[test]
fn running_sessions_are_not_refused_because_new_ones_wait() {
    let gate = Arc::new(Gate::default());
    let _inside = [go(gate.ask(&LIMITS, Asker::New, AT)), go(gate.ask(&LIMITS, Asker::New, AT))];
    let mut new: Vec<_> = (0..3).map(|_| wait(gate.ask(&LIMITS, Asker::New, AT))).collect();
    assert!(matches!(gate.ask(&LIMITS, Asker::New, AT), Entry::Full));
    let _existing = wait(gate.ask(&LIMITS, Asker::Existing, AT));
    assert_eq!(gate.waiting(), 3);
    let told = new.iter_mut().map(|new| new.now().unwrap_err());
    let told: Vec<_> = told.map(|error| error == TryRecvError::Closed).collect();
    assert_eq!(told, [false, false, true], "the youngest has to ask again");
    let as_they_come = Limits { existing_sessions_first: false, ..LIMITS };
    assert!(matches!(gate.ask(&as_they_come, Asker::Existing, AT), Entry::Full));
}

#[test]
fn a_place_that_was_given_to_somebody_who_left_is_given_on() {
    let gate = Arc::new(Gate::default());
    let inside = [go(gate.ask(&LIMITS, Asker::New, AT)), go(gate.ask(&LIMITS, Asker::New, AT))];
    let gone = wait(gate.ask(&LIMITS, Asker::Existing, AT));
    let mut patient = wait(gate.ask(&LIMITS, Asker::Existing, AT));
    let [first, _second] = inside;
    drop(first);
    // It has its place already, and leaves without having looked.
    drop(gone);
    assert!(patient.now().is_ok());
    assert_eq!(gate.in_flight(), 1, "the permit was dropped at once, and the other one is inside");
}

#[test]
fn a_raised_limit_lets_the_waiting_in() {
    let gate = Arc::new(Gate::default());
    let _inside = [go(gate.ask(&LIMITS, Asker::New, AT)), go(gate.ask(&LIMITS, Asker::New, AT))];
    let mut waiting = wait(gate.ask(&LIMITS, Asker::Existing, AT));
    let more = Limits { connections: 4, ..LIMITS };
    let _permit = go(gate.ask(&more, Asker::New, AT));
    assert!(waiting.now().is_ok());
}

#[test]
fn whoever_waits_at_two_gates_goes_in_where_there_is_a_place_first_and_takes_no_other() {
    let gates = [(); 2].map(|()| Arc::new(Gate::default()));
    let full = |gate: &Arc<Gate>| [(); 2].map(|()| go(gate.ask(&LIMITS, Asker::Existing, AT)));
    let [mut here, mut there] = [full(&gates[0]).map(Some), full(&gates[1]).map(Some)];
    let mut new = wait(gates[0].ask(&LIMITS, Asker::New, AT));
    assert!(gates[1].ask_besides(&LIMITS, &new, BackendIndex(1)).is_none());
    let mut existing = wait(gates[1].ask(&LIMITS, Asker::Existing, BackendIndex(1)));
    assert_eq!((gates[0].waiting(), gates[1].waiting()), (1, 1), "it counts once");
    there[0] = None;
    let inside = existing.now().unwrap();
    assert!(new.now().is_err(), "running sessions first, wherever somebody new waits");
    there[1] = None;
    let place = new.try_place().unwrap();
    assert_eq!((place.at, gates[0].waiting()), (BackendIndex(1), 0));
    here[0] = None;
    assert_eq!(gates[0].in_flight(), 1, "nobody else waits for that one");
    let besides = wait(gates[1].ask(&LIMITS, Asker::New, AT));
    assert!(gates[0].ask_besides(&LIMITS, &besides, AT).is_some(), "there is room at once");
    drop((inside, place));
}

#[test]
fn a_wait_elsewhere_is_no_turn_that_a_running_session_could_take() {
    let gates = [(); 2].map(|()| Arc::new(Gate::default()));
    let _inside = gates.each_ref().map(|gate| [(); 2].map(|()| go(gate.ask(&LIMITS, Asker::Existing, AT))));
    let mut guests: Vec<_> = (0..3).map(|_| wait(gates[0].ask(&LIMITS, Asker::New, AT))).collect();
    assert!(guests.iter().all(|guest| gates[1].ask_besides(&LIMITS, guest, AT).is_none()));
    let _running: Vec<_> = (0..3).map(|_| wait(gates[1].ask(&LIMITS, Asker::Existing, AT))).collect();
    assert!(matches!(gates[1].ask(&LIMITS, Asker::Existing, AT), Entry::Full));
    let told = guests.iter_mut().map(|guest| guest.now().unwrap_err());
    assert!(told.into_iter().all(|told| told == TryRecvError::Empty), "they wait on");
    let _one = wait(gates[0].ask(&LIMITS, Asker::Existing, AT));
    assert_eq!(guests[2].now().unwrap_err(), TryRecvError::Closed, "where it counts, its turn is taken");
}

#[test]
fn turns_that_are_over_do_not_pile_up() {
    let gates = [(); 2].map(|()| Arc::new(Gate::default()));
    let _stuck = [(); 2].map(|()| go(gates[1].ask(&LIMITS, Asker::Existing, AT)));
    let _inside = [(); 2].map(|()| go(gates[0].ask(&LIMITS, Asker::Existing, AT)));
    for _ in 0..10_000 {
        let waiting = wait(gates[0].ask(&LIMITS, Asker::New, AT));
        assert!(gates[1].ask_besides(&LIMITS, &waiting, AT).is_none());
    }
    for gate in &gates {
        assert!(gate.queue.lock().second.len() <= 64, "{}", gate.queue.lock().second.len());
    }
}

/// What somebody does who may come, wait, go in and leave at three gates.
#[derive(Clone, Debug)]
enum Act {
    Ask(usize, Asker),
    AskAll(usize),
    Leave(usize),
    GiveUp(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let asker = prop_oneof![Just(Asker::Existing), Just(Asker::Led), Just(Asker::New)];
    prop_oneof![
        3 => (0..3_usize, asker).prop_map(|(gate, asker)| Act::Ask(gate, asker)),
        3 => (0..3_usize).prop_map(Act::AskAll),
        4 => any::<usize>().prop_map(Act::Leave),
        1 => any::<usize>().prop_map(Act::GiveUp),
    ]
}

proptest! {
    #[test]
    fn no_place_is_free_while_somebody_waits_for_it(acts in proptest::collection::vec(act(), 1..200), first: bool) {
        let limits = Limits { existing_sessions_first: first, ..LIMITS };
        let gates = [(); 3].map(|()| Arc::new(Gate::default()));
        let (mut inside, mut waiting) = (Vec::new(), Vec::<(usize, Asker, Waiting)>::new());
        let index = |gate| BackendIndex(u16::try_from(gate).unwrap());
        for act in acts {
            // Who is admitted by this act, and who was there to be preferred.
            let running: Vec<bool> = (0..3)
                .map(|gate| waiting.iter().any(|(at, asker, _)| *at == gate && *asker == Asker::Existing))
                .collect();
            match act {
                Act::Ask(gate, asker) => match gates[gate].ask(&limits, asker, index(gate)) {
                    Entry::Go(permit) => inside.push((gate, permit)),
                    Entry::Wait(wait) => waiting.push((gate, asker, wait)),
                    Entry::Full => {}
                },
                Act::AskAll(home) => match gates[home].ask(&limits, Asker::New, index(home)) {
                    Entry::Go(permit) => inside.push((home, permit)),
                    Entry::Wait(wait) => {
                        let others = (1..3).map(|step| (home + step) % 3);
                        let mut asked = others.map(|gate| (gate, gates[gate].ask_besides(&limits, &wait, index(gate))));
                        match asked.find_map(|(gate, permit)| Some((gate, permit?))) {
                            Some(went) => inside.push(went),
                            None => waiting.push((home, Asker::New, wait)),
                        }
                    }
                    Entry::Full => {}
                },
                Act::Leave(at) if !inside.is_empty() => drop(inside.swap_remove(at % inside.len())),
                Act::GiveUp(at) if !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
                Act::Leave(_) | Act::GiveUp(_) => {}
            }
            let mut admitted = Vec::new();
            waiting.retain_mut(|(_, asker, wait)| match wait.try_place() {
                Ok(place) => {
                    admitted.push((place.at.position(), *asker));
                    inside.push((place.at.position(), place.permit));
                    false
                }
                Err(told) => told == TryRecvError::Empty,
            });
            for (gate, asker) in admitted {
                prop_assert!(!first || asker == Asker::Existing || !running[gate], "running sessions first");
            }
            for (at, gate) in gates.iter().enumerate() {
                let there = inside.iter().filter(|(gate, _)| *gate == at).count();
                prop_assert_eq!(usize::try_from(gate.in_flight()).unwrap(), there, "nobody else is counted");
                prop_assert!(there <= 2, "bounded");
                let counted = waiting.iter().filter(|(home, ..)| *home == at).count();
                prop_assert_eq!(gate.waiting(), counted);
                prop_assert!(counted <= limits.queue_length, "bounded");
                let queue = gate.queue.lock();
                let waits = queue.first.iter().chain(&queue.second).any(|turn| !turn.ticket.is_over());
                prop_assert!(there == 2 || !waits, "a place is free, and somebody waits for it");
            }
        }
        drop((inside, waiting));
        prop_assert!(gates.iter().all(|gate| gate.in_flight() == 0 && gate.waiting() == 0));
    }
}

#[test]
fn what_was_let_in_elsewhere_is_counted_beyond_the_limit_and_leaves_its_place_to_who_waits() {
    let gate = Arc::new(Gate::default());
    let mut inside: Vec<_> = (0..3).map(|_| gate.enter(true)).collect();
    let mut waits = wait(gate.ask(&LIMITS, Asker::Existing, AT));
    assert_eq!(gate.in_flight(), 3);
    inside.pop();
    assert!(waits.now().is_err(), "still full");
    inside.pop();
    assert!(waits.now().is_ok());
}
