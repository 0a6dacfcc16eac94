//! Types of the numbers in arrays and volumes.

use npyz::{DType, Endianness, TypeChar};

/// A number as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub kind: ElementKind,
    /// Bytes.
    pub width: usize,
    /// The most significant byte comes first.
    pub big: bool,
}

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementKind {
    Bool,
    Unsigned,
    Signed,
    Float,
}

impl Element {
    /// `None` if it is not a plain number of 1 to 8 bytes.
    pub fn of(dtype: &DType) -> Option<Element> {
        let DType::Plain(plain) = dtype else { return None };
        let width = plain.size_field();
        let kind = match (plain.type_char(), width) {
            (TypeChar::Bool, 1) => ElementKind::Bool,
            (TypeChar::Uint, 1 | 2 | 4 | 8) => ElementKind::Unsigned,
            (TypeChar::Int, 1 | 2 | 4 | 8) => ElementKind::Signed,
            (TypeChar::Float, 2 | 4 | 8) => ElementKind::Float,
            _ => return None,
        };
        Some(Element { kind, width: width as usize, big: plain.endianness() == Endianness::Big })
    }

    pub fn is_byte(self) -> bool {
        self.kind == ElementKind::Unsigned && self.width == 1
    }

    fn word(self, bytes: &[u8]) -> u64 {
        let mut le = [0u8; 8];
        le[..self.width].copy_from_slice(&bytes[..self.width]);
        if self.big {
            le[..self.width].reverse();
        }
        u64::from_le_bytes(le)
    }

    /// The value of an integer or bool, or of a float that is an integer.
    pub fn integer(self, bytes: &[u8]) -> Option<i128> {
        let (word, unused) = (self.word(bytes), 64 - 8 * self.width as u32);
        match self.kind {
            ElementKind::Bool => Some(i128::from(word != 0)),
            ElementKind::Unsigned => Some(i128::from(word)),
            // Shifting left and right again extends the sign.
            ElementKind::Signed => Some(i128::from((word << unused) as i64 >> unused)),
            ElementKind::Float => {
                let value = self.number(bytes);
                (value.trunc() == value && value.abs() < 2f64.powi(63)).then_some(value as i128)
            }
        }
    }

    /// The value; integers beyond 2^53 are rounded.
    pub fn number(self, bytes: &[u8]) -> f64 {
        let word = self.word(bytes);
        match (self.kind, self.width) {
            (ElementKind::Float, 2) => half::f16::from_bits(word as u16).to_f64(),
            (ElementKind::Float, 4) => f64::from(f32::from_bits(word as u32)),
            (ElementKind::Float, _) => f64::from_bits(word),
            _ => self.integer(bytes).unwrap_or_default() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(descr: &str) -> Element {
        Element::of(&DType::Plain(descr.parse().unwrap())).unwrap_or_else(|| panic!("{descr}"))
    }

    #[test]
    fn numbers_of_every_type_and_order() {
        for (descr, bytes, value) in [
            ("|u1", &[200u8][..], 200.0),
            ("|i1", &[200], -56.0),
            ("|b1", &[1], 1.0),
            ("<u2", &[0xFF, 0x0F], 4095.0),
            (">u2", &[0x0F, 0xFF], 4095.0),
            ("<i2", &[0x18, 0xFC], -1000.0),
            (">i2", &[0xFC, 0x18], -1000.0),
            ("<u4", &[0, 0, 0, 0x80], 2147483648.0),
            (">i4", &[0xFF, 0xFF, 0xFF, 0xFE], -2.0),
            ("<i8", &[0xFF; 8], -1.0),
            (">u8", &[0, 0, 0, 0, 0, 0, 1, 0], 256.0),
            ("<f2", &[0, 0x3C], 1.0),
            (">f2", &[0xC0, 0], -2.0),
            ("<f4", &[0, 0, 0x20, 0x41], 10.0),
            (">f4", &[0x41, 0x20, 0, 0], 10.0),
            ("<f8", &[0, 0, 0, 0, 0, 0, 0xE0, 0x3F], 0.5),
            (">f8", &[0x3F, 0xE0, 0, 0, 0, 0, 0, 0], 0.5),
        ] {
            assert_eq!(element(descr).number(bytes), value, "{descr}");
            let whole = (value.fract() == 0.0).then_some(value as i128);
            assert_eq!(element(descr).integer(bytes), whole, "{descr}");
        }
        assert_eq!(element("<f4").integer(&f32::NAN.to_le_bytes()), None);
        assert_eq!(element("<f8").integer(&1e300f64.to_le_bytes()), None);
        for other in ["<c8", "|S4", "<U3", "<M8[s]"] {
            assert_eq!(Element::of(&DType::Plain(other.parse().unwrap())), None, "{other}");
        }
    }
}
