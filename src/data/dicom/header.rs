//! The attributes that say what the pixels mean.

use super::element::{Place, Value, name};
use super::tags;

/// How stored numbers become values, and which of them are black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Scale {
    pub slope: Option<f64>,
    pub intercept: Option<f64>,
    pub centre: Option<f64>,
    pub width: Option<f64>,
    /// Black and white are exactly half a width from the centre.
    pub exact: bool,
}

impl Scale {
    /// What is absent is `other`'s.
    fn or(self, other: Scale) -> Scale {
        Scale {
            slope: self.slope.or(other.slope),
            intercept: self.intercept.or(other.intercept),
            centre: self.centre.or(other.centre),
            width: self.width.or(other.width),
            exact: self.exact || other.exact,
        }
    }

    /// Slope and intercept.
    pub fn line(self) -> [f64; 2] {
        [self.slope.unwrap_or(1.0), self.intercept.unwrap_or(0.0)]
    }

    /// Values that become black and white (PS3.3 C.11.2.1.2), if a window is given.
    pub fn window(self) -> Option<[f64; 2]> {
        let (centre, width) = (self.centre?, self.width.filter(|w| *w > 0.0)?);
        let (centre, half) =
            if self.exact || width < 1.0 { (centre, width / 2.0) } else { (centre - 0.5, (width - 1.0) / 2.0) };
        let low = centre - half;
        // A width of 1 separates two greys.
        Some([low, (centre + half).max(low.next_up())])
    }

    fn set(&mut self, tag: u32, value: Value) -> Result<(), String> {
        let number = |what| decimal(value.bytes, what);
        match tag {
            tags::SLOPE => self.slope = number("rescale slope")?,
            tags::INTERCEPT => self.intercept = number("rescale intercept")?,
            tags::CENTRE => self.centre = number("window centre")?,
            tags::WIDTH => self.width = number("window width")?,
            // SIGMOID has no black and white; its line is taken.
            tags::FUNCTION => self.exact = !matches!(text(value.bytes).as_str(), "" | "LINEAR"),
            _ => {}
        }
        if self.slope == Some(0.0) {
            return Err("a rescale slope of 0: must not be 0".into());
        }
        Ok(())
    }
}

/// The elements of a file that are read.
#[derive(Default)]
pub(super) struct Header<'a> {
    pub patient: Option<String>,
    pub samples: Option<u32>,
    pub photometric: Option<String>,
    pub planar: Option<u32>,
    pub frames: Option<u32>,
    pub rows: Option<u32>,
    pub columns: Option<u32>,
    pub allocated: Option<u32>,
    pub stored: Option<u32>,
    pub high_bit: Option<u32>,
    pub signed: Option<u32>,
    /// As stored.
    pub padding: Option<u32>,
    scale: Scale,
    shared: Scale,
    per_frame: Vec<Scale>,
    pub table: bool,
    pub floats: bool,
    pub offsets: Option<&'a [u8]>,
    pub pixels: Option<Value<'a>>,
}

impl<'a> Header<'a> {
    /// Takes an element; `false` after the pixels.
    pub fn take(&mut self, place: &Place, tag: u32, value: Value<'a>) -> Result<bool, String> {
        match place {
            [] => self.own(tag, value)?,
            [(tags::TABLE, _)] => self.table = true,
            [(tags::SHARED, _), (tags::VALUES | tags::WINDOWS, 0)] => self.shared.set(tag, value)?,
            [(tags::PER_FRAME, frame), (tags::VALUES | tags::WINDOWS, 0)] => {
                // Bounded by the items that the file has.
                if self.per_frame.len() <= *frame {
                    self.per_frame.resize(frame + 1, Scale::default());
                }
                self.per_frame[*frame].set(tag, value)?;
            }
            _ => {}
        }
        Ok(!(place.is_empty() && tag == tags::PIXELS))
    }

    fn own(&mut self, tag: u32, value: Value<'a>) -> Result<(), String> {
        let number = || match value.coding.number(value.bytes, 2) {
            _ if value.bytes.is_empty() => Ok(None),
            Some(number) if value.bytes.len() == 2 => Ok(Some(number)),
            _ => Err(format!("{} has {} bytes: must be a number of 2 bytes", name(tag), value.bytes.len())),
        };
        match tag {
            tags::PATIENT => self.patient = Some(text(value.bytes)).filter(|id| !id.is_empty()),
            tags::PHOTOMETRIC => self.photometric = Some(text(value.bytes)),
            tags::FRAMES => self.frames = frames(value.bytes)?,
            tags::SAMPLES => self.samples = number()?,
            tags::PLANAR => self.planar = number()?,
            tags::ROWS => self.rows = number()?,
            tags::COLUMNS => self.columns = number()?,
            tags::ALLOCATED => self.allocated = number()?,
            tags::STORED => self.stored = number()?,
            tags::HIGH_BIT => self.high_bit = number()?,
            tags::SIGNED => self.signed = number()?,
            tags::PADDING => self.padding = number()?,
            tags::FLOATS | tags::DOUBLES => self.floats = true,
            tags::OFFSETS => self.offsets = Some(value.bytes),
            tags::PIXELS => self.pixels = Some(value),
            _ => self.scale.set(tag, value)?,
        }
        Ok(())
    }

    /// The scale of a frame: its own, that of all frames, that of the file.
    pub fn scale(&self, frame: usize) -> Scale {
        self.per_frame.get(frame).copied().unwrap_or_default().or(self.shared).or(self.scale)
    }
}

/// A text without padding.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').into()
}

/// The first of a list of decimal numbers; `None` if it is empty.
fn decimal(bytes: &[u8], what: &str) -> Result<Option<f64>, String> {
    let text = text(bytes);
    let first = text.split('\\').next().unwrap_or_default().trim();
    match first.parse::<f64>() {
        _ if first.is_empty() => Ok(None),
        Ok(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(format!("{what} {:?}: must be a number", crate::input::shorten(first, 40))),
    }
}

fn frames(bytes: &[u8]) -> Result<Option<u32>, String> {
    let text = text(bytes);
    match text.parse() {
        _ if text.is_empty() => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(format!("number of frames {:?}: must be a whole number", crate::input::shorten(&text, 40))),
    }
}
