//! Transfer syntaxes: how elements and pixels are stored.

use super::element::Coding;

/// How the pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Native,
    Rle,
    Jpeg,
}

/// A transfer syntax that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    pub coding: Coding,
    pub packing: Packing,
    /// Everything after the file's first group is deflated.
    pub deflated: bool,
}

/// Names of other transfer syntaxes.
const OTHERS: [(&str, &str); 18] = [
    ("1.2.840.10008.1.2.4.51", "JPEG Extended, 12 bits"),
    ("1.2.840.10008.1.2.4.57", "JPEG Lossless"),
    ("1.2.840.10008.1.2.4.70", "JPEG Lossless, first-order prediction"),
    ("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless"),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS Near-lossless"),
    ("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless"),
    ("1.2.840.10008.1.2.4.91", "JPEG 2000"),
    ("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Lossless"),
    ("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2"),
    ("1.2.840.10008.1.2.4.100", "MPEG2 Main Level"),
    ("1.2.840.10008.1.2.4.101", "MPEG2 High Level"),
    ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264"),
    ("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible"),
    ("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main"),
    ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"),
    ("1.2.840.10008.1.2.4.112", "JPEG XL"),
    ("1.2.840.10008.1.2.4.201", "HTJ2K Lossless"),
    ("1.2.840.10008.1.2.4.203", "HTJ2K"),
];

impl Syntax {
    /// The syntax with that identifier.
    ///
    /// # Errors
    /// What it is, and a command that converts the file.
    pub fn of(uid: &str) -> Result<Syntax, String> {
        let little = Coding::EXPLICIT;
        let of = |coding, packing| Ok(Syntax { coding, packing, deflated: false });
        match uid {
            "1.2.840.10008.1.2" => of(Coding { explicit: false, big: false }, Packing::Native),
            "1.2.840.10008.1.2.1" => of(little, Packing::Native),
            "1.2.840.10008.1.2.1.99" => Ok(Syntax { coding: little, packing: Packing::Native, deflated: true }),
            "1.2.840.10008.1.2.2" => of(Coding { explicit: true, big: true }, Packing::Native),
            "1.2.840.10008.1.2.4.50" => of(little, Packing::Jpeg),
            "1.2.840.10008.1.2.5" => of(little, Packing::Rle),
            other => Err(refused(other)),
        }
    }
}

fn refused(uid: &str) -> String {
    let name = OTHERS.iter().find(|(known, _)| *known == uid).map_or("unknown", |(_, name)| name);
    let uid = crate::input::shorten(uid, 64);
    format!(
        "pixels in the transfer syntax {uid} ({name}); uncompressed, RLE and JPEG Baseline are read: `gdcmconv --raw IN OUT` (GDCM) \
         converts it"
    )
}
