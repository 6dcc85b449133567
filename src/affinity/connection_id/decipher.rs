//! The plaintext of a connection id, from its second octet on, as far as the server id reaches: sections 5.4 and 5.5 of
//! draft-ietf-quic-load-balancers.
//!
//! A server id has at most 15 octets and a half of the plaintext at most 10, so each fits into 16: the octets of a number are
//! the octets on the wire, first one first, and zeros behind.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _};

/// Octets of the server id and of the nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lengths {
    /// At least 1.
    pub(super) server_id: u8,
    /// At least 4; at most 19 together.
    pub(super) nonce: u8,
}

impl Lengths {
    pub(super) fn whole(self) -> usize {
        usize::from(self.server_id) + usize::from(self.nonce)
    }

    /// Cuts off what follows the server id.
    pub(super) fn server_id_of(self, plaintext: u128) -> u128 {
        plaintext & first_bits(8 * u32::from(self.server_id))
    }
}

/// The server id of a connection id that nobody has encrypted. `id` has at least [`Lengths::whole`] octets.
pub(super) fn plain(id: &[u8], lengths: Lengths) -> u128 {
    lengths.server_id_of(number(id))
}

/// The server id of an encrypted one.
pub(super) fn decipher(id: &[u8], lengths: Lengths, cipher: &Aes128) -> u128 {
    let length = lengths.whole();
    if length == 16 {
        let mut block = number(id).to_be_bytes().into();
        cipher.decrypt_block(&mut block);
        return lengths.server_id_of(u128::from_be_bytes(block.into()));
    }
    let halves = Halves::new(length);
    let (left_2, right_2) = halves.split(id);
    let pass = |number, from| halves.round(cipher, number, from);
    let left_1 = (left_2 ^ pass(4, right_2)) & halves.left;
    let right_1 = (right_2 ^ pass(3, left_1)) & halves.right;
    let left_0 = (left_1 ^ pass(2, right_1)) & halves.left;
    if lengths.server_id <= lengths.nonce {
        // All of it is in this half.
        return lengths.server_id_of(left_0);
    }
    let right_0 = (right_1 ^ pass(1, left_0)) & halves.right;
    lengths.server_id_of(left_0 | right_0 >> (8 * halves.right_begins))
}

/// How a plaintext of a length is halved. Of an odd one, the octet in the middle is halved, too: the left half's last bits and the right
/// half's first ones are zero.
struct Halves {
    length: u8,
    /// The bits that each half has.
    left: u128,
    right: u128,
    /// The octet that the right half begins with.
    right_begins: usize,
    octets: usize,
}

impl Halves {
    fn new(length: usize) -> Self {
        let octets = length.div_ceil(2);
        // Both are 19 at most.
        let (bits, half) = (u32::try_from(4 * length).unwrap_or(0), u32::try_from(8 * octets).unwrap_or(0));
        Self {
            length: u8::try_from(length).unwrap_or(0),
            left: first_bits(bits),
            right: first_bits(half) & !first_bits(half - bits),
            right_begins: length - octets,
            octets,
        }
    }

    fn split(&self, id: &[u8]) -> (u128, u128) {
        let right = id.get(self.right_begins..self.right_begins + self.octets).unwrap_or_default();
        (number(id) & self.left, number(right) & self.right)
    }

    /// One pass: the other half as it comes out, to be cut to its bits.
    fn round(&self, cipher: &Aes128, pass: u8, half: u128) -> u128 {
        let expanded = half | u128::from(self.length) << 8 | u128::from(pass);
        let mut block = expanded.to_be_bytes().into();
        cipher.encrypt_block(&mut block);
        u128::from_be_bytes(block.into())
    }
}

/// The first 16 octets.
pub(super) fn number(octets: &[u8]) -> u128 {
    let mut first = [0; 16];
    first.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(first)
}

fn first_bits(bits: u32) -> u128 {
    // 0 is the one number of bits that cannot be shifted out by its complement.
    u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0)
}

/// What servers do, for tests.
#[cfg(test)]
pub(super) fn encipher(server_id: &[u8], nonce: &[u8], cipher: &Aes128) -> Vec<u8> {
    let plaintext = [server_id, nonce].concat();
    if plaintext.len() == 16 {
        let mut block = number(&plaintext).to_be_bytes().into();
        cipher.encrypt_block(&mut block);
        return block.to_vec();
    }
    let halves = Halves::new(plaintext.len());
    let (mut left, mut right) = halves.split(&plaintext);
    for pass in [1, 3] {
        right = (right ^ halves.round(cipher, pass, left)) & halves.right;
        left = (left ^ halves.round(cipher, pass + 1, right)) & halves.left;
    }
    let mut id = vec![0; plaintext.len()];
    id.iter_mut().zip(left.to_be_bytes()).for_each(|(to, from)| *to |= from);
    id[halves.right_begins..].iter_mut().zip(right.to_be_bytes()).for_each(|(to, from)| *to |= from);
    id
}

#[cfg(test)]
mod tests {
    use aes::cipher::KeyInit as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_draft_comes_out() {
        let key = 0xfdf7_26a9_893e_c05c_0632_d395_6680_baf0_u128.to_be_bytes();
        let cipher = Aes128::new(&key.into());
        let id = [0x67, 0x94, 0x7d, 0x29, 0xbe, 0x05, 0x4a];
        assert_eq!(encipher(&[0x31, 0x44, 0x1a], &[0x9c, 0x69, 0xc2, 0x75], &cipher), id);
        let lengths = Lengths { server_id: 3, nonce: 4 };
        assert_eq!(decipher(&id, lengths, &cipher), number(&[0x31, 0x44, 0x1a]));
    }

    proptest! {
        #[test]
        fn what_a_server_writes_is_read_again(
            key: [u8; 16], plaintext in prop::collection::vec(any::<u8>(), 5..=19), cut in 1_usize..=15
        ) {
            let cut = cut.min(plaintext.len() - 4);
            let (server_id, nonce) = plaintext.split_at(cut);
            let cipher = Aes128::new(&key.into());
            let id = encipher(server_id, nonce, &cipher);
            let octets = |part: &[u8]| u8::try_from(part.len()).unwrap();
            let lengths = Lengths { server_id: octets(server_id), nonce: octets(nonce) };
            prop_assert_eq!(id.len(), plaintext.len());
            prop_assert_eq!(decipher(&id, lengths, &cipher), number(server_id));
        }
    }
}
