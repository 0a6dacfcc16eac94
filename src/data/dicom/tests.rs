use super::*;
use crate::data::scan::Scan;

/// An element in explicit or implicit coding.
fn element(coding: Coding, tag: u32, kind: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let half = |v: u16| if coding.big { v.to_be_bytes() } else { v.to_le_bytes() };
    let word = |v: u32| if coding.big { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut out = [half((tag >> 16) as u16), half(tag as u16)].concat();
    let value = [value, if value.len() % 2 == 1 { b" " } else { b"" }].concat();
    let long = matches!(kind, b"OB" | b"OW" | b"SQ" | b"UN");
    match (coding.explicit, long) {
        (true, true) => out.extend([&kind[..], &[0, 0], &word(value.len() as u32)].concat()),
        (true, false) => out.extend([&kind[..], &half(value.len() as u16)].concat()),
        (false, _) => out.extend(word(value.len() as u32)),
    }
    [out, value].concat()
}

/// A file of which each part can be changed.
#[derive(Clone)]
struct Draft {
    syntax: &'static str,
    coding: Coding,
    elements: Vec<(u32, [u8; 2], Vec<u8>)>,
}

const LITTLE: Coding = Coding::EXPLICIT;

impl Draft {
    /// A grey image of `width` x 2 pixels of 16 bits, `bits` of them in use.
    fn grey(width: u16, bits: u16, signed: bool, values: &[u16]) -> Draft {
        let draft = Draft { syntax: "1.2.840.10008.1.2.1", coding: LITTLE, elements: Vec::new() };
        draft
            .with(0x0028_0002, b"US", &1u16.to_le_bytes())
            .with(0x0028_0004, b"CS", b"MONOCHROME2")
            .with(0x0028_0010, b"US", &2u16.to_le_bytes())
            .with(0x0028_0011, b"US", &width.to_le_bytes())
            .with(0x0028_0100, b"US", &16u16.to_le_bytes())
            .with(0x0028_0101, b"US", &bits.to_le_bytes())
            .with(0x0028_0102, b"US", &(bits - 1).to_le_bytes())
            .with(0x0028_0103, b"US", &u16::from(signed).to_le_bytes())
            .with(0x7FE0_0010, b"OW", &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// A grey image of 2 x 2 pixels of 8 bits.
    fn bytes(values: &[u8]) -> Draft {
        Draft::grey(2, 8, false, &[]).with(0x0028_0100, b"US", &[8, 0]).with(0x7FE0_0010, b"OB", values)
    }

    /// A colour image of 2 x 2 pixels.
    fn colour(planar: u8, values: &[u8]) -> Draft {
        Draft::bytes(values).with(0x0028_0002, b"US", &[3, 0]).with(0x0028_0004, b"CS", b"RGB").with(
            0x0028_0006,
            b"US",
            &[planar, 0],
        )
    }

    fn with(mut self, tag: u32, kind: &[u8; 2], value: &[u8]) -> Draft {
        self.elements.retain(|(known, ..)| *known != tag);
        self.elements.push((tag, *kind, value.to_vec()));
        self.elements.sort_by_key(|e| e.0);
        self
    }

    fn without(mut self, tag: u32) -> Draft {
        self.elements.retain(|(known, ..)| *known != tag);
        self
    }

    /// In another syntax; numbers of two bytes are swapped for a big one.
    fn coded(mut self, syntax: &'static str, coding: Coding) -> Draft {
        for (_, kind, value) in &mut self.elements {
            if coding.big && matches!(&kind[..], b"US" | b"OW") {
                value.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
            }
        }
        Draft { syntax, coding, ..self }
    }

    fn body(&self) -> Vec<u8> {
        self.elements.iter().flat_map(|(tag, kind, value)| element(self.coding, *tag, kind, value)).collect()
    }

    fn head(&self) -> Vec<u8> {
        let syntax = element(LITTLE, SYNTAX, b"UI", self.syntax.as_bytes());
        let length = element(LITTLE, GROUP_LENGTH, b"UL", &(syntax.len() as u32).to_le_bytes());
        [&[0; MAGIC][..], b"DICM", &length, &syntax].concat()
    }

    fn file(&self) -> Vec<u8> {
        [self.head(), self.body()].concat()
    }

    /// Compressed pixels: a table of frames, and fragments.
    fn packed(self, syntax: &'static str, table: &[u32], fragments: &[&[u8]]) -> Vec<u8> {
        let mut file = Draft { syntax, ..self.without(0x7FE0_0010) }.file();
        file.extend(b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF");
        let table: Vec<u8> = table.iter().flat_map(|v| v.to_le_bytes()).collect();
        for item in [&[&table[..]], fragments].concat() {
            file.extend([b"\xFE\xFF\0\xE0", &(item.len() as u32).to_le_bytes()[..], item].concat());
        }
        file.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
        file
    }
}

/// A file of a patient with frames of 2 x 2 pixels of 12 bits.
pub(in crate::data) fn file_of(patient: &str, values: &[u16]) -> Vec<u8> {
    let frames = (values.len() / 4).to_string();
    let draft = Draft::grey(2, 12, false, values).with(0x0028_0008, b"IS", frames.as_bytes());
    draft.with(0x0010_0020, b"LO", patient.as_bytes()).file()
}

fn grey(bytes: &[u8], i: usize) -> Grey {
    match Dicom::read(bytes).and_then(|d| d.frame(i)).unwrap() {
        Frame::Grey(grey) => grey,
        Frame::Colour(_) => panic!("in colour"),
    }
}

fn rgb(bytes: &[u8]) -> Vec<u8> {
    match Dicom::read(bytes).and_then(|d| d.frame(0)).unwrap() {
        Frame::Colour(image) => image.to_rgb8().into_raw(),
        Frame::Grey(_) => panic!("in grey"),
    }
}

fn refusal(bytes: &[u8]) -> String {
    let read = Dicom::read(bytes).and_then(|d| (0..d.frames()).try_for_each(|i| d.frame(i).map(drop)));
    read.expect_err("an error")
}

fn levels(grey: &Grey, window: Option<[f64; 2]>) -> Vec<u8> {
    grey.shown(window).unwrap().into_luma8().into_raw()
}

#[test]
fn bits_signs_and_unused_bits() {
    for (bits, signed, stored, values) in [
        (16, false, [0, 1, 4095, 65535], [0.0, 1.0, 4095.0, 65535.0]),
        (16, true, [0, 0x8000, 0xFFFF, 0x7FFF], [0.0, -32768.0, -1.0, 32767.0]),
        // Bits above those in use hold overlays.
        (12, false, [0, 0xF001, 0x0FFF, 0x1800], [0.0, 1.0, 4095.0, 2048.0]),
        (12, true, [0, 0x0800, 0xFFFF, 0x07FF], [0.0, -2048.0, -1.0, 2047.0]),
        (1, false, [0, 1, 2, 3], [0.0, 1.0, 0.0, 1.0]),
    ] {
        let image = grey(&Draft::grey(2, bits, signed, &stored).file(), 0);
        assert_eq!(image.values, values, "{bits} {signed}");
        let least = if signed { -f64::from(1 << (bits - 1)) } else { 0.0 };
        assert_eq!(image.range, Some([least, least + f64::from((1u32 << bits) - 1)]));
    }
    let shifted = Draft::grey(2, 12, false, &[0x0010, 0xFFF0, 0x000F, 0x8000]).with(0x0028_0102, b"US", &[15, 0]);
    assert_eq!(grey(&shifted.file(), 0).values, [1.0, 4095.0, 0.0, 2048.0]);
    let bytes = grey(&Draft::bytes(&[0, 1, 128, 255]).file(), 0);
    assert_eq!(
        (&bytes.values[..], bytes.deep, levels(&bytes, Some([0.0, 1.0]))),
        (&[0.0, 1.0, 128.0, 255.0][..], false, vec![0, 1, 128, 255])
    );
    let signed = Draft::bytes(&[0, 127, 128, 255]).with(0x0028_0103, b"US", &[1, 0]);
    assert_eq!(grey(&signed.file(), 0).values, [0.0, 127.0, -128.0, -1.0]);
}

#[test]
fn every_uncompressed_syntax() {
    let draft = Draft::grey(2, 16, false, &[1, 256, 3, 65535]).with(0x0010_0020, b"LO", b"id 7");
    let big = Coding { explicit: true, big: true };
    let implicit = Coding { explicit: false, big: false };
    for (syntax, coding) in [
        ("1.2.840.10008.1.2.1", LITTLE),
        ("1.2.840.10008.1.2", implicit),
        ("1.2.840.10008.1.2.2", big),
        // Without types, though the syntax has them.
        ("1.2.840.10008.1.2.1", implicit),
    ] {
        let file = draft.clone().coded(syntax, coding).file();
        assert_eq!(grey(&file, 0).values, [1.0, 256.0, 3.0, 65535.0], "{syntax}");
        assert_eq!(Dicom::read(&file).unwrap().patient.as_deref(), Some("id 7"));
    }
    let deflated = Draft { syntax: "1.2.840.10008.1.2.1.99", ..draft };
    let mut encoder = flate2::write::DeflateEncoder::new(deflated.head(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &deflated.body()).unwrap();
    let file = encoder.finish().unwrap();
    assert_eq!(grey(&file, 0).values, [1.0, 256.0, 3.0, 65535.0]);
    assert!(refusal(&file[..file.len() - 4]).contains("deflated"));
    // Bytes in words, the more significant one first.
    let words = Draft::bytes(&[2, 1, 4, 3]).coded("1.2.840.10008.1.2.2", big);
    let words = Draft {
        elements: words
            .elements
            .into_iter()
            .map(|(t, k, v)| (t, if t == 0x7FE0_0010 { *b"OW" } else { k }, v))
            .collect(),
        ..words
    };
    assert_eq!(grey(&words.file(), 0).values, [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn windows_slopes_and_inversion() {
    let draft = Draft::grey(2, 12, false, &[0, 1000, 2000, 4095]);
    let plain = grey(&draft.file(), 0);
    assert_eq!((plain.window, plain.deep, levels(&plain, None)), (None, true, vec![0, 62, 125, 255]));
    assert_eq!(levels(&plain, Some([1000.0, 2000.0])), [0, 0, 255, 255]);
    let hounsfield = draft.clone().with(0x0028_1052, b"DS", b"-1024").with(0x0028_1053, b"DS", b" 2.0 ");
    let image = grey(&hounsfield.file(), 0);
    assert_eq!((&image.values[..], image.range), (&[-1024.0, 976.0, 2976.0, 7166.0][..], Some([-1024.0, 7166.0])));
    // The first of several windows.
    let windowed = hounsfield.with(0x0028_1050, b"DS", b"1976\\40").with(0x0028_1051, b"DS", b"2001\\400");
    let image = grey(&windowed.file(), 0);
    assert_eq!((image.window, levels(&image, None)), (Some([975.5, 2975.5]), vec![0, 0, 255, 255]));
    assert_eq!(levels(&image, Some([-1024.0, 7166.0])), [0, 62, 125, 255], "data.window replaces it");
    let exact = windowed.clone().with(0x0028_1056, b"CS", b"LINEAR_EXACT");
    assert_eq!(grey(&exact.file(), 0).window, Some([975.5, 2976.5]));
    let inverted = grey(&windowed.clone().with(0x0028_0004, b"CS", b"MONOCHROME1").file(), 0);
    assert_eq!(levels(&inverted, None), [255, 255, 0, 0]);
    // A width of 1 separates two greys; none is no window.
    let narrow = grey(&draft.clone().with(0x0028_1050, b"DS", b"1000.5").with(0x0028_1051, b"DS", b"1").file(), 0);
    assert_eq!(levels(&narrow, None), [0, 0, 255, 255]);
    let none = draft.clone().with(0x0028_1050, b"DS", b"").with(0x0028_1051, b"DS", b"0");
    assert_eq!(grey(&none.file(), 0).window, None);
    let falling = grey(&draft.clone().with(0x0028_1053, b"DS", b"-1").file(), 0);
    assert_eq!((falling.range, levels(&falling, None)), (Some([-4095.0, 0.0]), vec![255, 193, 130, 0]));
    let padded = grey(&draft.with(0x0028_0120, b"US", &4095u16.to_le_bytes()).file(), 0);
    assert_eq!((padded.span().low, padded.span().high), (0.0, 2000.0));
}

#[test]
fn colours_in_both_orders() {
    let pixels = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120];
    let planes = [10, 40, 70, 100, 20, 50, 80, 110, 30, 60, 90, 120];
    assert_eq!(rgb(&Draft::colour(0, &pixels).file()), pixels);
    assert_eq!(rgb(&Draft::colour(1, &planes).file()), pixels);
    let luma =
        Draft::colour(0, &[76, 85, 255, 150, 44, 21, 29, 255, 107, 9, 128, 128]).with(0x0028_0004, b"CS", b"YBR_FULL");
    assert_eq!(rgb(&luma.file()), [254, 0, 0, 0, 255, 1, 0, 0, 254, 9, 9, 9]);
    let deep: Vec<u8> = pixels.iter().flat_map(|v| (u16::from(*v) * 257).to_le_bytes()).collect();
    let deep = Draft::colour(0, &deep).with(0x0028_0100, b"US", &[16, 0]).with(0x0028_0101, b"US", &[16, 0]);
    assert_eq!(rgb(&deep.with(0x0028_0102, b"US", &[15, 0]).file()), pixels);
}

#[test]
fn frames_have_their_own_scale() {
    let values: Vec<u16> = (0..12).collect();
    let three = Draft::grey(2, 16, false, &values).with(0x0028_0008, b"IS", b"3");
    let file = three.file();
    assert_eq!(Dicom::read(&file).unwrap().frames(), 3);
    assert_eq!(grey(&file, 2).values, [8.0, 9.0, 10.0, 11.0]);
    let item = |bytes: &[u8]| [b"\xFE\xFF\0\xE0", &(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let sequence = |coding, tag, items: &[u8]| element(coding, tag, b"SQ", items);
    for coding in [LITTLE, Coding { explicit: false, big: false }] {
        let values = |slope: &str| {
            let slope = element(coding, 0x0028_1053, b"DS", slope.as_bytes());
            item(&sequence(coding, 0x0028_9145, &item(&slope)))
        };
        let window = |centre: &str| {
            let parts =
                [element(coding, 0x0028_1050, b"DS", centre.as_bytes()), element(coding, 0x0028_1051, b"DS", b"11")];
            item(&sequence(coding, 0x0028_9132, &item(&parts.concat())))
        };
        let shared = [values("2"), window("100")].concat();
        let own = [window("5"), item(&[]), values("3")].concat();
        let syntax = if coding.explicit { "1.2.840.10008.1.2.1" } else { "1.2.840.10008.1.2" };
        // Elements of a shared group stand in one item; two are as good.
        let draft = three.clone().with(0x5200_9229, b"SQ", &shared).with(0x5200_9230, b"SQ", &own);
        let file = draft.coded(syntax, coding).file();
        let [first, second, third] = [0, 1, 2].map(|i| grey(&file, i));
        assert_eq!((first.values[1], second.values[1], third.values[1]), (2.0, 10.0, 27.0));
        let windows = [first.window, second.window, third.window];
        assert_eq!(windows, [Some([-0.5, 9.5]), Some([94.5, 104.5]), Some([94.5, 104.5])]);
    }
}

/// PackBits without runs.
fn rle(segments: &[&[u8]]) -> Vec<u8> {
    let packed: Vec<Vec<u8>> = segments.iter().map(|s| [&[s.len() as u8 - 1], *s].concat()).collect();
    let mut offsets = vec![segments.len() as u32];
    packed.iter().fold(64, |at, s| {
        offsets.push(at);
        at + s.len() as u32
    });
    offsets.resize(16, 0);
    [offsets.iter().flat_map(|v| v.to_le_bytes()).collect(), packed.concat()].concat()
}

#[test]
fn run_lengths_of_grey_and_colour() {
    const RLE: &str = "1.2.840.10008.1.2.5";
    let deep = Draft::grey(2, 16, false, &[]);
    let frame = rle(&[&[1, 2, 3, 4], &[5, 6, 7, 8]]);
    assert_eq!(grey(&deep.clone().packed(RLE, &[], &[&frame]), 0).values, [261.0, 518.0, 775.0, 1032.0]);
    let planes = rle(&[&[10, 40, 70, 100], &[20, 50, 80, 110], &[30, 60, 90, 120]]);
    assert_eq!(
        rgb(&Draft::colour(0, &[]).packed(RLE, &[], &[&planes])),
        [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]
    );
    // A run of three, a byte without meaning, and one literal.
    let mut run = rle(&[&[0]]);
    run.truncate(64);
    run.extend([254, 9, 128, 0, 7]);
    assert_eq!(grey(&Draft::bytes(&[]).packed(RLE, &[], &[&run]), 0).values, [9.0, 9.0, 9.0, 7.0]);
    // Two frames, in one and in two fragments each.
    let two = deep.clone().with(0x0028_0008, b"IS", b"2");
    let other = rle(&[&[0; 4], &[9; 4]]);
    for (table, fragments) in [
        (&[][..], &[&frame[..], &other][..]),
        (&[0, 8 + frame.len() as u32], &[&frame, &other]),
        (&[0, 16 + frame.len() as u32], &[&frame[..20], &frame[20..], &other[..]]),
    ] {
        let file = two.clone().packed(RLE, table, fragments);
        assert_eq!((grey(&file, 0).values[0], grey(&file, 1).values[0]), (261.0, 9.0), "{table:?}");
    }
    for (file, needle) in [
        (two.clone().packed(RLE, &[], &[&frame[..20], &frame[20..], &other]), "3 fragments for 2 frames"),
        (two.packed(RLE, &[0, 3], &[&frame[..20], &frame[20..], &other]), "does not fit the fragments"),
        (deep.clone().packed(RLE, &[], &[&planes]), "RLE of 3 segments: must be 2"),
        (deep.clone().packed(RLE, &[], &[&frame[..70]]), "ends early"),
        (deep.clone().packed(RLE, &[], &[&frame[..8]]), "outside the frame"),
        (deep.clone().packed(RLE, &[], &[]), "no compressed pixels"),
        (Draft { syntax: RLE, ..deep.clone() }.file(), "pixels without fragments"),
        (deep.packed("1.2.840.10008.1.2.1", &[], &[&frame]), "pixels in fragments"),
    ] {
        assert!(refusal(&file).contains(needle), "{needle}: {}", refusal(&file));
    }
}

#[test]
fn jpeg_frames() {
    const JPEG: &str = "1.2.840.10008.1.2.4.50";
    let jpeg = |image: DynamicImage| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    };
    let frame = jpeg(DynamicImage::from(image::GrayImage::from_pixel(2, 2, image::Luma([77]))));
    let draft = Draft::bytes(&[]).with(0x0028_1052, b"DS", b"-7");
    let image = grey(&draft.clone().packed(JPEG, &[], &[&frame]), 0);
    assert!(image.values.iter().all(|v| (*v - 70.0).abs() <= 1.0), "{:?}", image.values);
    // Split in two fragments, as long frames are.
    assert_eq!(grey(&draft.clone().packed(JPEG, &[], &[&frame[..50], &frame[50..]]), 0).values, image.values);
    let colour = jpeg(DynamicImage::from(RgbImage::from_pixel(2, 2, Rgb([200, 40, 40]))));
    let luma = Draft::colour(0, &[]).with(0x0028_0004, b"CS", b"YBR_FULL_422");
    let near = |found: Vec<u8>, expected: [u8; 3]| {
        assert!(found.chunks(3).all(|p| p.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3)), "{found:?}");
    };
    near(rgb(&luma.packed(JPEG, &[], &[&colour])), [200, 40, 40]);
    // The same numbers taken as red, green and blue: not converted.
    near(rgb(&Draft::colour(0, &[]).packed(JPEG, &[], &[&colour])), [88, 101, 208]);
    for (file, needle) in [
        (draft.clone().packed(JPEG, &[], &[b"GIF89a"]), "not JPEG"),
        (draft.clone().packed(JPEG, &[], &[&frame[..frame.len() / 2]]), "truncated"),
        (draft.clone().packed(JPEG, &[], &[&colour]), "with 3 samples, in a file of 2 x 2 with 1"),
        (draft.with(0x0028_0011, b"US", &[3, 0]).packed(JPEG, &[], &[&frame]), "a JPEG of 2 x 2 pixels"),
        (
            Draft::grey(2, 12, false, &[]).packed(JPEG, &[], &[&frame]),
            "bits allocated (0028,0100): 16, must be 8 in JPEG",
        ),
    ] {
        assert!(refusal(&file).contains(needle), "{needle}: {}", refusal(&file));
    }
}

#[test]
fn what_is_not_read_is_named() {
    let draft = Draft::grey(2, 16, false, &[1, 2, 3, 4]);
    let of = |tag, kind: &[u8; 2], value: &[u8]| draft.clone().with(tag, kind, value).file();
    for (file, needle) in [
        (draft.clone().without(0x7FE0_0010).file(), "no pixel data"),
        (draft.clone().without(0x7FE0_0010).with(0x7FE0_0008, b"OW", &[0; 16]).file(), "floating-point pixels"),
        (draft.clone().without(0x0028_0010).file(), "no rows (0028,0010)"),
        (draft.clone().without(0x0028_0011).file(), "no columns"),
        (draft.clone().without(0x0028_0004).file(), "no photometric interpretation"),
        (draft.clone().without(0x0028_0100).file(), "no bits allocated"),
        (of(0x0028_0004, b"CS", b"PALETTE COLOR"), "a palette (PALETTE COLOR)"),
        (of(0x0028_0004, b"CS", b"HSV"), "photometric interpretation HSV"),
        (of(0x0028_0002, b"US", &[3, 0]), "3 samples per pixel with MONOCHROME2: must be 1"),
        (of(0x0028_0002, b"US", &[3, 0, 0, 0]), "has 4 bytes: must be a number of 2 bytes"),
        (of(0x0028_0100, b"US", &[32, 0]), "bits allocated (0028,0100): 32, must be 8 or 16"),
        (of(0x0028_0100, b"US", &[1, 0]), "bits allocated (0028,0100): 1, must be 8 or 16"),
        (of(0x0028_0101, b"US", &[17, 0]), "17 bits up to bit 15"),
        (of(0x0028_0101, b"US", &[0, 0]), "0 bits"),
        (of(0x0028_0102, b"US", &[16, 0]), "up to bit 16"),
        (of(0x0028_0010, b"US", &[0, 0]), "2 x 0 pixels"),
        (of(0x0028_0010, b"US", &[255, 255]), "2 x 65535 pixels: must be 1 to 16384"),
        (of(0x0028_0010, b"US", &[3, 0]), "truncated: 8 bytes of pixels, and 1 frame of 12 bytes: 12 are needed"),
        (of(0x0028_0010, b"US", &[1, 0]), "8 bytes of pixels for 1 frame of 4 bytes: must be 4"),
        (of(0x0028_0008, b"IS", b"0"), "0 frames: must be 1 to 65536"),
        (of(0x0028_0008, b"IS", b"99999999"), "99999999 frames"),
        (of(0x0028_0008, b"IS", b"x"), "number of frames \"x\""),
        (of(0x0028_1053, b"DS", b"0"), "a rescale slope of 0"),
        (of(0x0028_1053, b"DS", b"two"), "rescale slope \"two\": must be a number"),
        (of(0x0028_1050, b"DS", b"NaN"), "window centre \"NaN\""),
        (
            of(0x0028_3000, b"SQ", &[0xFE, 0xFF, 0, 0xE0, 8, 0, 0, 0, 0x28, 0, 2, 0x30, b'U', b'S', 0, 0]),
            "modality look-up table",
        ),
        (
            Draft { syntax: "1.2.840.10008.1.2.4.70", ..draft.clone() }.file(),
            "1.2.840.10008.1.2.4.70 (JPEG Lossless, first-order prediction)",
        ),
        (Draft { syntax: "1.2.840.10008.1.2.4.90", ..draft.clone() }.file(), "`gdcmconv --raw IN OUT`"),
        (Draft { syntax: "1.2.3", ..draft.clone() }.file(), "1.2.3 (unknown)"),
        (Draft::colour(0, &[0; 12]).with(0x0028_0103, b"US", &[1, 0]).file(), "colours with a sign"),
        (Draft::colour(0, &[0; 12]).with(0x0028_0004, b"CS", b"YBR_FULL_422").file(), "YBR_FULL_422"),
        (draft.file()[4..].to_vec(), "`DICM` after 128 bytes"),
        ([&[0; 128][..], b"DICM"].concat(), "no transfer syntax"),
    ] {
        assert!(refusal(&file).contains(needle), "{needle}: {}", refusal(&file));
    }
}

#[test]
fn every_truncation_is_an_error() {
    let item = |bytes: &[u8]| [b"\xFE\xFF\0\xE0", &(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let inner = element(LITTLE, 0x0008_0060, b"CS", b"MR");
    let draft = Draft::grey(2, 16, false, &[1, 2, 3, 4]).with(0x0008_1140, b"SQ", &item(&inner));
    for file in [draft.file(), draft.clone().packed("1.2.840.10008.1.2.5", &[], &[&rle(&[&[1; 4], &[2; 4]])])] {
        assert!(Dicom::read(&file).is_ok());
        for keep in 0..file.len() {
            assert!(Dicom::read(&file[..keep]).is_err(), "{keep} of {} bytes", file.len());
        }
    }
}

#[test]
fn lengths_and_depths_are_bounded() {
    let deep = b"\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF".repeat(100_000);
    let draft = Draft::grey(2, 16, false, &[1, 2, 3, 4]);
    assert!(refusal(&[draft.head(), deep].concat()).contains("nested more than 16 deep"));
    let long = b"\xE0\x7F\x10\0OW\0\0\xF0\xFF\xFF\xFF123".to_vec();
    assert!(refusal(&[draft.head(), long].concat()).contains("has 4294967280 bytes, and 3 are left"));
    let short = b"\x28\0\x10\0us\x02\0\x01\0".to_vec();
    assert!(Dicom::read(&[draft.head(), short].concat()).is_err());
    // Undefined lengths, with and without a type.
    for head in [&b"\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF"[..], b"\x08\0\x40\x11UN\0\0\xFF\xFF\xFF\xFF"] {
        let inner = if head[4] == b'S' { &b"\x08\0\x60\0CS\x02\0MR"[..] } else { b"\x08\0\x60\0\x02\0\0\0MR" };
        let sequence =
            [head, b"\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF", inner, b"\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0"]
                .concat();
        assert_eq!(grey(&[draft.head(), sequence, draft.body()].concat(), 0).values, [1.0, 2.0, 3.0, 4.0]);
    }
}

#[test]
fn files_are_told_by_their_first_bytes() {
    let root = tempfile::TempDir::new().unwrap();
    let draft = Draft::grey(2, 16, false, &[1, 2, 3, 4]);
    let write = |name: &str, bytes: &[u8]| {
        let path = root.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert!(Scan::open(&write("1.2.840.7", &draft.file()), 2).unwrap().is_some());
    assert!(Scan::open(&write("empty.dcm", b""), 2).unwrap().is_none());
    assert!(Scan::open(&write("text.dcm", b"hello"), 2).is_err_and(|what| what.contains("neither DICOM")));
    assert!(Scan::open(&write("picture.dcm", b"\x89PNG\r\n\x1a\n"), 2).unwrap().is_none());
    let name = |name: &str| {
        crate::data::scan::is_scan_name(
            &root.path().join(name),
            std::path::Path::new(name).extension().and_then(|e| e.to_str()),
        )
    };
    write("DICOMDIR", &draft.file());
    write("IM0001", &draft.file());
    write("README", b"no image");
    assert!(name("x.dcm") && name("1.2.840.7") && name("IM0001"));
    assert!(!name("DICOMDIR") && !name("README") && !name("absent") && !name("x.txt"));
}
