//! The parts of a request's way, one by one: `cargo bench --bench parts`.

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, header};
use steadfast::affinity::{
    self, Circumstance, Evidence, Flags, Key, KeyRing, Origin, RequestView, SessionDigest, SessionSeed, Token,
};
use steadfast::names::Epoch;
use steadfast::pool::{CheckVerdict, Pool};
use support::{NOW, policy, pool};

fn token(pool: &Pool) -> Option<Token> {
    Some(Token {
        backend: pool.backends().first()?.tag(),
        epoch: Epoch(0),
        seed: SessionSeed(42),
        issued_s: 1_700_000_000,
        seen_s: 1_700_000_000,
        flags: Flags::default(),
        max_age_min: 0,
        fingerprints: [SessionDigest::of(pool.seed(), b"0123456789ABCDEF").fingerprint()]
            .into_iter()
            .collect(),
    })
}

fn tokens(criterion: &mut Criterion) {
    let (pool, policy) = (pool(3), policy());
    let Some(token) = token(&pool) else { return };
    let sealed = policy.keys.seal(&token, &policy.binding, [9; 12]);
    criterion.bench_function("token/seal", |bencher| {
        bencher.iter(|| policy.keys.seal(black_box(&token), &policy.binding, [9; 12]));
    });
    criterion.bench_function("token/open remembered", |bencher| {
        bencher.iter(|| policy.keys.open(black_box(sealed.as_str().as_bytes()), &policy.binding));
    });
    // A ring without the key refuses after the whole price; two keys of one tag are not needed for that.
    let other = KeyRing::new(Key::new("a", &[2; 32].into()), Vec::new());
    criterion.bench_function("token/open at full price", |bencher| {
        bencher.iter(|| other.open(black_box(sealed.as_str().as_bytes()), &policy.binding));
    });
}

fn decisions(criterion: &mut Criterion) {
    for backends in [3, 100] {
        let (pool, policy) = (pool(backends), policy());
        let Some(token) = token(&pool) else { return };
        let sealed = policy.keys.seal(&token, &policy.binding, [9; 12]);
        let learned = SessionDigest::of(pool.seed(), b"learned");
        policy.learned.learn(&learned, token.backend, Origin::Application, NOW);
        let with_token = format!("JSESSIONID=0123456789ABCDEF; {}={}", policy.cookie.name, sealed.as_str());
        let requests =
            [("token", with_token.as_str()), ("learned", "JSESSIONID=learned"), ("new", "theme=dark")];
        for (name, cookie) in requests {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("ims.example.com"));
            headers.insert(header::USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64)"));
            if let Ok(cookie) = HeaderValue::from_str(cookie) {
                headers.insert(header::COOKIE, cookie);
            }
            let request = RequestView {
                target: b"/servicedesk/WorkOrder.do?id=4711",
                headers: &headers,
                client: [127, 0, 0, 1].into(),
                connection_choice: None,
                named_session: None,
            };
            criterion.bench_function(&format!("decide/{name}, {backends} backends"), |bencher| {
                bencher.iter(|| {
                    let evidence = Evidence::read(black_box(&request), &policy, &pool, NOW);
                    affinity::decide(
                        &evidence,
                        &policy,
                        &pool,
                        Circumstance { now: NOW, draw: 1, held: false },
                    )
                });
            });
        }
    }
}

fn rings(criterion: &mut Criterion) {
    let up = pool(10);
    criterion.bench_function("ring/all up", |bencher| {
        bencher.iter(|| up.successor(black_box(0x1234_5678_9ABC), NOW))
    });
    let down = pool(10);
    for backend in down.backends().iter().skip(1) {
        backend.live().check_verdict(CheckVerdict::Unreachable, NOW);
    }
    criterion.bench_function("ring/9 of 10 down", |bencher| {
        bencher.iter(|| down.successor(black_box(0x1234_5678_9ABC), NOW))
    });
}

fn cookies(criterion: &mut Criterion) {
    let mut field: String =
        (0..20).map(|n| format!("preference_{n}=0123456789012345678901234567; ")).collect();
    field.push_str("JSESSIONID=0123456789ABCDEF; LB=token");
    criterion.bench_function("cookie/parse 1 KiB", |bencher| {
        bencher.iter(|| {
            affinity::pairs(black_box(field.as_bytes())).filter(|pair| pair.name == b"JSESSIONID").count()
        });
    });
    criterion.bench_function("cookie/strip 1 KiB", |bencher| {
        bencher.iter(|| affinity::strip(black_box(field.as_bytes()), b"LB"));
    });
}

criterion_group! {
    name = parts;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = tokens, decisions, rings, cookies
}
criterion_main!(parts);
