//! Tags of the elements that are read.

pub const PATIENT: u32 = 0x0010_0020;
pub const SAMPLES: u32 = 0x0028_0002;
pub const PHOTOMETRIC: u32 = 0x0028_0004;
pub const PLANAR: u32 = 0x0028_0006;
pub const FRAMES: u32 = 0x0028_0008;
pub const ROWS: u32 = 0x0028_0010;
pub const COLUMNS: u32 = 0x0028_0011;
pub const ALLOCATED: u32 = 0x0028_0100;
pub const STORED: u32 = 0x0028_0101;
pub const HIGH_BIT: u32 = 0x0028_0102;
pub const SIGNED: u32 = 0x0028_0103;
pub const PADDING: u32 = 0x0028_0120;
pub const CENTRE: u32 = 0x0028_1050;
pub const WIDTH: u32 = 0x0028_1051;
pub const INTERCEPT: u32 = 0x0028_1052;
pub const SLOPE: u32 = 0x0028_1053;
pub const FUNCTION: u32 = 0x0028_1056;
/// Modality LUT Sequence.
pub const TABLE: u32 = 0x0028_3000;
/// Frame VOI LUT Sequence and Pixel Value Transformation Sequence.
pub const WINDOWS: u32 = 0x0028_9132;
pub const VALUES: u32 = 0x0028_9145;
/// Shared and Per-Frame Functional Groups Sequence.
pub const SHARED: u32 = 0x5200_9229;
pub const PER_FRAME: u32 = 0x5200_9230;
/// Extended Offset Table.
pub const OFFSETS: u32 = 0x7FE0_0001;
pub const FLOATS: u32 = 0x7FE0_0008;
pub const DOUBLES: u32 = 0x7FE0_0009;
/// Stored in fragments if compressed.
pub const PIXELS: u32 = 0x7FE0_0010;
