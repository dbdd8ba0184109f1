//! Packed texts: a byte above 126 stands for a pair of bytes, each of which may stand for a pair again. The compiler packs
//! every text in a constant, and it comes out byte by byte as it is put into a sink (`base::text`). That halves the texts,
//! which are an eighth of the binary.
//!
//! The pairs are learnt from the sources at each build (`targets/texts.rs`).
//!
//! Invariant: a pair is made of bytes below the one that stands for it, so that nothing goes round in circles.

/// The first byte that stands for a pair.
const FIRST: u8 = 127;

/// What the bytes from [`FIRST`] up stand for, in turn.
pub type Pairs = [[u8; 2]; 129];

/// The pairs of every text but the largest.
pub const COMMON: &Pairs = &table(include_bytes!(concat!(env!("OUT_DIR"), "/pairs")));
/// Those of the config.json that `hull spec` writes.
pub const SPEC: &Pairs = &table(include_bytes!(concat!(env!("OUT_DIR"), "/pairs.spec")));

/// The file that build.rs wrote, as pairs.
#[allow(clippy::indexing_slicing)]
const fn table(bytes: &[u8; 258]) -> Pairs {
    let mut pairs = [[0; 2]; 129];
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
            assert!(text[len] < FIRST);
            bytes[len] = text[len];
            len += 1;
        }
        let mut pair = 0;
        while pair < pairs.len() {
            let (mut from, mut to) = (0, 0);
            while from < len {
                bytes[to] = bytes[from];
                if from + 1 < len && bytes[from] == pairs[pair][0] && bytes[from + 1] == pairs[pair][1] {
                    bytes[to] = FIRST + pair as u8;
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

/// The two bytes that `byte` stands for.
pub fn pair(pairs: &'static Pairs, byte: u8) -> Option<&'static [u8; 2]> {
    pairs.get(usize::from(byte.wrapping_sub(FIRST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pair_holds_itself() {
        for pairs in [COMMON, SPEC] {
            for (n, pair) in pairs.iter().enumerate() {
                assert!(pair.iter().all(|byte| usize::from(*byte) < usize::from(FIRST) + n && *byte != 0));
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
