//! The bytes of an event file: TFRecord frames around protobuf messages, written by hand. No maintained crate writes them without
//! a protobuf runtime, and TensorBoard needs five small messages.
//!
//! | message | fields written (number and type) |
//! |---|---|
//! | `Event` | `wall_time` 1 double, `step` 2 int64, then one of `file_version` 3 string, `summary` 5, `session_log` 7; `source_metadata` 10 |
//! | `SourceMetadata` | `writer` 1 string |
//! | `SessionLog` | `status` 1 enum; `START` is 1 |
//! | `Summary` | `value` 1, repeated |
//! | `Summary.Value` | `tag` 1 string, then one of `simple_value` 2 float, `image` 4 |
//! | `Summary.Image` | `height` 1, `width` 2, `colorspace` 3 (3 is RGB), all int32; `encoded_image_string` 4 bytes |
//!
//! The definitions are `event.proto` and `summary.proto` in TensorBoard's `compat/proto`.

/// The version that every event file starts with. From 2 on TensorBoard heeds [`What::Start`].
const VERSION: &str = "brain.Event:2";
/// The program that wrote a file.
const WRITER: &str = "fedgan";

/// One event.
pub(super) struct Event<'a> {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// Completed rounds.
    pub step: u32,
    pub what: What<'a>,
}

/// The content of an event.
pub(super) enum What<'a> {
    /// The first event of a file.
    Version,
    /// The steps from this event's step on follow. TensorBoard forgets those that it read before.
    Start,
    /// Values of one step.
    Values(&'a [(String, Value<'a>)]),
}

/// The value of a tag.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Scalar(f32),
    /// A PNG file of `size` (width, height) in RGB.
    Picture {
        png: &'a [u8],
        size: (u32, u32),
    },
}

impl Event<'_> {
    /// The event as a record of an event file.
    pub fn record(&self) -> Vec<u8> {
        frame(&self.message())
    }

    fn message(&self) -> Vec<u8> {
        let mut out = Message::default();
        out.double(1, self.wall_time);
        if self.step > 0 {
            out.integer(2, self.step.into());
        }
        match self.what {
            What::Version => {
                out.bytes(3, VERSION.as_bytes());
                out.message(10, |source| source.bytes(1, WRITER.as_bytes()));
            }
            What::Start => out.message(7, |session| session.integer(1, 1)),
            What::Values(values) => out.message(5, |summary| {
                values.iter().for_each(|(tag, value)| summary.message(1, |out| entry(out, tag, *value)));
            }),
        }
        out.0
    }
}

fn entry(out: &mut Message, tag: &str, value: Value) {
    out.bytes(1, tag.as_bytes());
    match value {
        Value::Scalar(value) => out.float(2, value),
        Value::Picture { png, size: (width, height) } => out.message(4, |image| {
            image.integer(1, height.into());
            image.integer(2, width.into());
            image.integer(3, 3);
            image.bytes(4, png);
        }),
    }
}

/// An encoded protobuf message. Each field is preceded by `number << 3 | type`, with type 0 for integers, 1 for 8 bytes, 2 for bytes
/// with their length, 5 for 4 bytes.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Seven bits a byte, the lowest first; all bytes but the last have the top bit.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(&mut self, number: u64, value: u64) {
        self.varint(number << 3);
        self.varint(value);
    }

    fn double(&mut self, number: u64, value: f64) {
        self.varint(number << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, number: u64, value: f32) {
        self.varint(number << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, number: u64, bytes: &[u8]) {
        self.varint(number << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, number: u64, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(number, &inner.0);
    }
}

/// A TFRecord: the length as u64, its checksum, the data, their checksum; little endian.
fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let (head, tail) = (masked(&length).to_le_bytes(), masked(data).to_le_bytes());
    [&length[..], &head, data, &tail].concat()
}

/// The checksum of a TFRecord: a checksum of data that contain checksums is weak, so it is rotated and shifted.
pub(super) fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected, byte by byte: a round writes a few kilobytes.
pub(super) fn crc32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !data.iter().fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// The checksum's step for every value of a byte.
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}
