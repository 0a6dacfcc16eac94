//! The order of a row's elements by magnitude, as the kernels of a selection by radix share it: the largest magnitude first, equal
//! ones by index. An element's key has eight digits of eight bits, 2^31 - 1 - the bits of |x|, then the index.

/// Digits of a key.
pub const DIGITS: u32 = 8;
/// Values of a digit.
pub const BINS: u32 = 256;

/// The key of element `index` with these bits, in two words.
pub(super) fn key(bits: u32, index: usize) -> [u32; 2] {
    [0x7fff_ffff - (bits & 0x7fff_ffff), index as u32]
}

/// The word of a digit's place in the key, and the digits before it in that word, with the place's shift.
pub(super) fn place(digit: u32) -> (usize, u32) {
    ((digit / 4) as usize, 24 - 8 * (digit % 4))
}

/// Whether a key has the same digits as `found` before `digit`.
pub(super) fn agrees(key: [u32; 2], found: [u32; 2], digit: u32) -> bool {
    let (word, shift) = place(digit);
    let before = |word: u32| u64::from(word) >> (shift + 8);
    (word == 0 || key[0] == found[0]) && before(key[word]) == before(found[word])
}

/// The digit of a key.
pub(super) fn digit_of(key: [u32; 2], digit: u32) -> u32 {
    let (word, shift) = place(digit);
    key[word] >> shift & (BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_key_and_agree_up_to_a_place() {
        let key = [0x0123_4567, 0x89ab_cdef];
        let digits: Vec<u32> = (0..DIGITS).map(|digit| digit_of(key, digit)).collect();
        assert_eq!(digits, [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        let other = [0x0123_4567, 0x89ab_0000];
        let agreeing: Vec<u32> = (0..DIGITS).filter(|digit| agrees(key, other, *digit)).collect();
        assert_eq!(agreeing, [0, 1, 2, 3, 4, 5, 6], "digits before the seventh are the same");
        assert!(
            super::key((-3.0f32).to_bits(), 9)[0] < super::key(2.0f32.to_bits(), 0)[0],
            "the larger magnitude first"
        );
    }
}
