// Keys that order the elements of a row by descending magnitude, and equal ones by ascending index: two words, this one and the index.

// The first word of the key of an element with these bits.
fn first_word(bits: u32) -> u32 {
    return 0x7fffffffu - (bits & 0x7fffffffu);
}
