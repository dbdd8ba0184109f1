//! Packed texts: a byte that no text holds, which is one above 126 or a control character but NUL, [`PLACE`], tab and
//! newline, stands for a pair of bytes, each of which may stand for a pair again. The compiler packs
//! every text in a constant, and it comes out byte by byte as it is put into a sink (`base::text`). That halves the texts,
//! which are an eighth of the binary.
//!
//! The pairs are learnt from the sources at each build (`targets/texts.rs`).
//!
//! Invariant: a pair is made of bytes of texts and of those that stand for earlier pairs, so that nothing goes round in
//! circles.

use super::message::PLACE;

/// The first byte that stands for a pair; behind 255 come 0 and the control characters.
const FIRST: u8 = 127;
/// How many there are from there to a blank, those among them that stand for themselves.
const MOST_PAIRS: usize = 161;

/// What the bytes from [`FIRST`] on stand for, in turn; twice NUL for those that stand for themselves.
pub type Pairs = [[u8; 2]; MOST_PAIRS];

/// The pairs of every text but the largest.
pub const COMMON: &Pairs = &table(include_bytes!(concat!(env!("OUT_DIR"), "/pairs")));
/// Those of the config.json that `hull spec` writes.
pub const SPEC: &Pairs = &table(include_bytes!(concat!(env!("OUT_DIR"), "/pairs.spec")));

/// The file that build.rs wrote, as pairs.
#[allow(clippy::indexing_slicing)]
const fn table(bytes: &[u8; 2 * MOST_PAIRS]) -> Pairs {
    let mut pairs = [[0; 2]; MOST_PAIRS];
    let mut n = 0;
    while n < pairs.len() {
        pairs[n] = [bytes[2 * n], bytes[2 * n + 1]];
        n += 1;
    }
    pairs
}

/// Bytes that a text has less than.
const MOST: usize = 4096;

/// A text that was packed by the compiler.
pub struct Packed {
    bytes: [u8; MOST],
    len: usize,
}

impl Packed {
    /// `text` with the bytes of `pairs` and a NUL behind it. Only for constants: what is no ASCII, or too long, does not
    /// compile.
    #[allow(clippy::indexing_slicing)]
    pub const fn new(text: &str, pairs: &Pairs) -> Packed {
        let text = text.as_bytes();
        assert!(text.len() < MOST);
        let mut bytes = [0; MOST];
        let mut len = 0;
        while len < text.len() {
            assert!(text[len] < FIRST && is_itself(text[len]));
            bytes[len] = text[len];
            len += 1;
        }
        let mut pair = 0;
        while pair < pairs.len() {
            let (mut from, mut to) = (0, 0);
            while from < len {
                bytes[to] = bytes[from];
                if from + 1 < len
                    && bytes[from] != 0
                    && bytes[from] == pairs[pair][0]
                    && bytes[from + 1] == pairs[pair][1]
                {
                    bytes[to] = FIRST.wrapping_add(pair as u8);
                    from += 1;
                }
                from += 1;
                to += 1;
            }
            len = to;
            pair += 1;
        }
        bytes[len] = 0;
        Packed { bytes, len: len + 1 }
    }

    /// Its bytes, the NUL among them.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The first `N` of its bytes.
    #[allow(clippy::indexing_slicing)]
    pub const fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut all = [0; N];
        let mut n = 0;
        while n < N {
            all[n] = self.bytes[n];
            n += 1;
        }
        all
    }
}

/// Whether `byte` can be in a text: it stands for no pair.
const fn is_itself(byte: u8) -> bool {
    matches!(byte, 0 | PLACE | b'\t' | b'\n' | b' '..FIRST)
}

/// The two bytes that `byte` stands for.
pub fn pair(pairs: &'static Pairs, byte: u8) -> Option<&'static [u8; 2]> {
    pairs.get(usize::from(byte.wrapping_sub(FIRST))).filter(|pair| pair[0] != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pair_holds_itself() {
        for pairs in [COMMON, SPEC] {
            for (n, pair) in pairs.iter().enumerate() {
                let code = FIRST.wrapping_add(n as u8);
                let earlier =
                    |byte: &u8| *byte != 0 && is_itself(*byte) || usize::from(byte.wrapping_sub(FIRST)) < n;
                assert_eq!(*pair == [0; 2], is_itself(code), "{code}");
                assert!(*pair == [0; 2] || pair.iter().all(earlier), "{code}");
            }
        }
    }

    #[test]
    fn what_was_packed_is_shorter_and_comes_out_whole() {
        const TEXT: &str = "the container's process was killed before it could start its program";
        const PACKED: Packed = Packed::new(TEXT, COMMON);
        const BYTES: [u8; PACKED.len() - 1] = PACKED.bytes();
        assert!(BYTES.len() < TEXT.len() * 2 / 3);
        let mut whole = BYTES.to_vec();
        while let Some(at) = whole.iter().position(|byte| pair(COMMON, *byte).is_some()) {
            let both = *pair(COMMON, whole[at]).expect("a pair");
            whole.splice(at..=at, both);
        }
        assert_eq!(whole, TEXT.as_bytes());
    }
}
