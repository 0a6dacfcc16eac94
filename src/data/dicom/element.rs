//! The data elements of a DICOM file, one after the other, with the sequences that hold them.
//!
//! Nothing is allocated by stated lengths: a value is a part of the file's bytes.

use super::tags::{PER_FRAME, PIXELS, SHARED, VALUES, WINDOWS};

/// Deepest nesting of sequences; functional groups have three.
const MOST_DEPTH: usize = 16;

const ITEM: u32 = 0xFFFE_E000;
const ITEM_END: u32 = 0xFFFE_E00D;
const SEQUENCE_END: u32 = 0xFFFE_E0DD;
const UNDEFINED: u32 = u32::MAX;

/// How numbers and headers of elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    /// Elements state the type of their values.
    pub explicit: bool,
    /// The most significant byte comes first.
    pub big: bool,
}

impl Coding {
    /// Explicit types, the least significant byte first.
    pub const EXPLICIT: Coding = Coding { explicit: true, big: false };
    const IMPLICIT: Coding = Coding { explicit: false, big: false };

    /// The number in the first `n` bytes.
    pub fn number(self, bytes: &[u8], n: usize) -> Option<u32> {
        let bytes = bytes.get(..n)?;
        let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        Some(if self.big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}

/// The value of an element that is not a sequence.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub bytes: &'a [u8],
    pub coding: Coding,
    /// The type in two letters; zeros if it is not stated.
    pub kind: [u8; 2],
    /// Pixels in fragments: `bytes` are the items.
    pub fragments: bool,
    /// Position after the value.
    pub end: usize,
}

/// The sequences around an element: tag and number of the item.
pub(super) type Place = [(u32, usize)];

/// Reads elements and hands them to a visitor, until that returns `false`.
pub(super) struct Walker<'a, F> {
    bytes: &'a [u8],
    at: usize,
    place: Vec<(u32, usize)>,
    visit: F,
}

/// Whether to go on.
type Step = Result<bool, String>;

impl<'a, F: FnMut(&Place, u32, Value<'a>) -> Step> Walker<'a, F> {
    /// A walker that starts at byte `at`.
    pub fn new(bytes: &'a [u8], at: usize, visit: F) -> Self {
        Walker { bytes, at, place: Vec::new(), visit }
    }

    /// All elements up to the end.
    ///
    /// # Errors
    /// The reason alone: an element beyond the end, deep nesting, or what the visitor says.
    pub fn run(mut self, coding: Coding) -> Result<(), String> {
        self.elements(coding, self.bytes.len()).map(drop)
    }

    /// Elements up to `end`, or up to the end of an item.
    fn elements(&mut self, coding: Coding, end: usize) -> Step {
        while self.at < end {
            let start = self.at;
            let tag = self.tag(coding)?;
            if tag == ITEM_END {
                self.length(coding, 4)?;
                return Ok(true);
            }
            let kind = if coding.explicit { self.kind()? } else { [0; 2] };
            let long = coding.explicit && (b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".chunks(3)).any(|k| k[..2] == kind);
            if long {
                self.take(2)?;
            }
            let length = self.length(coding, if coding.explicit && !long { 2 } else { 4 })?;
            let go_on = match (tag, length) {
                (PIXELS, UNDEFINED) => self.fragments(coding, kind, start)?,
                // Elements of unknown type are stored without types.
                (_, UNDEFINED) if &kind == b"UN" => self.sequence(Coding::IMPLICIT, tag, length)?,
                (_, UNDEFINED) => self.sequence(coding, tag, length)?,
                _ if &kind == b"SQ" || !coding.explicit && is_sequence(tag) => self.sequence(coding, tag, length)?,
                _ => {
                    let bytes =
                        self.take(length as usize).map_err(|_| beyond(tag, length, self.bytes.len() - self.at))?;
                    (self.visit)(&self.place, tag, Value { bytes, coding, kind, fragments: false, end: self.at })?
                }
            };
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Items up to `length` bytes, or up to the end of the sequence.
    fn sequence(&mut self, coding: Coding, tag: u32, length: u32) -> Step {
        if self.place.len() >= MOST_DEPTH {
            return Err(format!("sequences nested more than {MOST_DEPTH} deep"));
        }
        let end = self.end(tag, length)?;
        self.place.push((tag, 0));
        while self.at < end {
            let found = self.tag(coding)?;
            let length = self.length(coding, 4)?;
            match found {
                SEQUENCE_END => break,
                ITEM => {
                    let end = self.end(found, length)?;
                    if !self.elements(coding, end)? {
                        return Ok(false);
                    }
                    if let Some((_, item)) = self.place.last_mut() {
                        *item += 1;
                    }
                }
                _ => return Err(format!("{} in place of an item of a sequence: a damaged file", name(found))),
            }
        }
        self.place.pop();
        Ok(true)
    }

    /// The fragments of compressed pixels, not yet separated.
    fn fragments(&mut self, coding: Coding, kind: [u8; 2], start: usize) -> Step {
        let first = self.at;
        loop {
            let at = self.at;
            let tag = self.tag(coding)?;
            let length = self.length(coding, 4)?;
            match tag {
                SEQUENCE_END => {
                    let value = Value { bytes: &self.bytes[first..at], coding, kind, fragments: true, end: self.at };
                    return (self.visit)(&self.place, PIXELS, value);
                }
                ITEM => {
                    _ = self.take(length as usize).map_err(|_| beyond(PIXELS, length, self.bytes.len() - self.at))?
                }
                _ => return Err(format!("{} among the fragments of byte {start}: a damaged file", name(tag))),
            }
        }
    }

    /// Where a sequence or an item ends, at the latest.
    fn end(&self, tag: u32, length: u32) -> Result<usize, String> {
        let rest = self.bytes.len() - self.at;
        match length {
            UNDEFINED => Ok(self.bytes.len()),
            length if length as usize <= rest => Ok(self.at + length as usize),
            _ => Err(beyond(tag, length, rest)),
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| "truncated: the file ends inside an element".to_string())?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn tag(&mut self, coding: Coding) -> Result<u32, String> {
        let bytes = self.take(4)?;
        let half = |bytes| coding.number(bytes, 2).unwrap_or_default();
        Ok(half(bytes) << 16 | half(&bytes[2..]))
    }

    fn kind(&mut self) -> Result<[u8; 2], String> {
        let bytes = self.take(2)?;
        match bytes.iter().all(u8::is_ascii_uppercase) {
            true => Ok([bytes[0], bytes[1]]),
            false => Err(format!("an element of the type {:?}: a damaged file", String::from_utf8_lossy(bytes))),
        }
    }

    fn length(&mut self, coding: Coding, n: usize) -> Result<u32, String> {
        let bytes = self.take(n)?;
        Ok(coding.number(bytes, n).unwrap_or_default())
    }
}

/// Sequences that are read, for files whose elements state no types.
fn is_sequence(tag: u32) -> bool {
    [PER_FRAME, SHARED, VALUES, WINDOWS].contains(&tag)
}

/// `(7FE0,0010)`.
pub(super) fn name(tag: u32) -> String {
    format!("({:04X},{:04X})", tag >> 16, tag & 0xFFFF)
}

fn beyond(tag: u32, length: u32, rest: usize) -> String {
    format!("truncated: {} has {length} bytes, and {rest} are left", name(tag))
}
