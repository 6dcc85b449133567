//! Learned sessions in a frame: the pool, then changes of constant length.

use crate::affinity::{Change, Origin, Remembered, SessionDigest};
use crate::names::{BackendTag, PoolName};

/// What was done, digest, backend, end of life.
const LENGTH: usize = 29;
/// Changes in one frame.
const MOST: usize = 32 << 10;

const LEARNED: u8 = 0;
const CLIENT: u8 = 1;
const RETIRED: u8 = 2;
const FORGOTTEN: u8 = 4;

/// Changes of one pool, as the bodies of frames.
pub(super) fn encode<'a>(pool: &'a PoolName, changes: &'a [Change]) -> impl Iterator<Item = Vec<u8>> + 'a {
    changes.chunks(MOST).map(|changes| {
        let name = pool.as_str().as_bytes();
        let mut body = Vec::with_capacity(2 + name.len() + changes.len() * LENGTH);
        body.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
        body.extend(name);
        changes.iter().filter_map(bytes).for_each(|bytes| body.extend(bytes));
        body
    })
}

/// The pool and its changes, unless the body is damaged.
pub(super) fn decode(body: &[u8]) -> Option<(PoolName, Vec<Change>)> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let name = PoolName::new(std::str::from_utf8(name).ok()?);
    let (records, odd) = rest.as_chunks::<LENGTH>();
    odd.is_empty().then(|| (name, records.iter().map(change).collect()))
}

/// `None`: a session that had to make room here may find some there.
fn bytes(change: &Change) -> Option<[u8; LENGTH]> {
    let (what, session, backend, expires_s) = match change {
        Change::Learned(known) => {
            let origin = if known.origin == Origin::Client { CLIENT } else { LEARNED };
            let retired = if known.retired { RETIRED } else { LEARNED };
            (origin | retired, known.session, known.backend.0, known.expires_s)
        }
        Change::Forgotten { session } => (FORGOTTEN, *session, 0, 0),
        Change::Evicted { .. } => return None,
    };
    let mut record = [0; LENGTH];
    let fields =
        [what].into_iter().chain(session.0).chain(backend.to_le_bytes()).chain(expires_s.to_le_bytes());
    record.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    Some(record)
}

fn change(record: &[u8; LENGTH]) -> Change {
    let [what, rest @ ..] = record;
    let (session, rest) = rest.split_at(16);
    let (backend, expires) = rest.split_at(8);
    let session = SessionDigest(session.try_into().unwrap_or_default());
    if what & FORGOTTEN != 0 {
        return Change::Forgotten { session };
    }
    Change::Learned(Remembered {
        session,
        backend: BackendTag(u64::from_le_bytes(backend.try_into().unwrap_or_default())),
        origin: if what & CLIENT == 0 { Origin::Application } else { Origin::Client },
        expires_s: u32::from_le_bytes(expires.try_into().unwrap_or_default()),
        retired: what & RETIRED != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let learned = |n: u8, origin, retired| {
            Change::Learned(Remembered {
                session: SessionDigest([n; 16]),
                backend: BackendTag(0x0123_4567_89AB_CDEF + u64::from(n)),
                origin,
                expires_s: 1_700_000_000 + u32::from(n),
                retired,
            })
        };
        let changes = vec![
            learned(1, Origin::Application, false),
            learned(2, Origin::Client, true),
            Change::Forgotten { session: SessionDigest([3; 16]) },
        ];
        let pool = PoolName::new("app");
        let mut bodies = encode(&pool, &changes);
        let body = bodies.next().unwrap();
        assert!(bodies.next().is_none());
        assert_eq!(decode(&body), Some((pool.clone(), changes.clone())));
        assert_eq!(decode(&body[..body.len() - 1]), None, "cut");
        let many = vec![changes[0]; MOST + 1];
        assert_eq!(encode(&pool, &many).map(|body| decode(&body).unwrap().1.len()).sum::<usize>(), MOST + 1);
    }
}
