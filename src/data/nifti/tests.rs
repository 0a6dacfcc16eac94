use super::*;
use std::io::Write;

/// A file of version 1 with these dimensions and voxels.
#[derive(Clone)]
pub(in crate::data) struct Draft {
    header: Vec<u8>,
    voxels: Vec<u8>,
}

impl Draft {
    pub(in crate::data) fn new(dims: &[i16], kind: i16, voxels: &[u8]) -> Draft {
        let mut draft = Draft { header: vec![0; 352], voxels: voxels.to_vec() };
        draft.header[..4].copy_from_slice(&348i32.to_le_bytes());
        draft.header[344..348].copy_from_slice(b"n+1\0");
        let dims = [&[dims.len() as i16], dims].concat();
        dims.iter().enumerate().for_each(|(i, d)| draft.put(40 + 2 * i, &d.to_le_bytes()));
        draft.put(70, &kind.to_le_bytes());
        draft.single(108, 352.0)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(in crate::data) fn single(mut self, at: usize, value: f32) -> Draft {
        self.put(at, &value.to_le_bytes());
        self
    }

    fn short(mut self, at: usize, value: i16) -> Draft {
        self.put(at, &value.to_le_bytes());
        self
    }

    /// The other byte order, with voxels of `width` bytes.
    fn swapped(mut self, width: usize) -> Draft {
        let fields = [(0, 4)].into_iter().chain((40..56).step_by(2).map(|at| (at, 2))).chain([(70, 2)]);
        let fields = fields.chain([108, 112, 116, 124, 128].map(|at| (at, 4)));
        fields.for_each(|(at, n)| self.header[at..at + n].reverse());
        self.voxels.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        self
    }

    /// Version 2.
    fn second(self) -> Vec<u8> {
        let mut out = vec![0; 544];
        let old = |at: usize, n: usize| self.header[at..at + n].to_vec();
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &540i32.to_le_bytes());
        put(4, b"n+2\0\r\n\x1A\n");
        put(12, &old(70, 2));
        for i in 0..8 {
            let d = i16::from_le_bytes([self.header[40 + 2 * i], self.header[41 + 2 * i]]);
            put(16 + 8 * i, &i64::from(d).to_le_bytes());
        }
        put(168, &544i64.to_le_bytes());
        for (from, to) in [(112, 176), (116, 184), (124, 192), (128, 200)] {
            let bytes = old(from, 4);
            put(to, &f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).to_le_bytes());
        }
        [out, self.voxels].concat()
    }

    pub(in crate::data) fn file(&self) -> Vec<u8> {
        [&self.header[..], &self.voxels].concat()
    }

    fn packed(&self) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&self.file()).unwrap();
        encoder.finish().unwrap()
    }
}

/// 2 x 3 x 4 voxels of i16: voxel (x, y, z) is x + 10 y + 100 z.
fn volume() -> Draft {
    let places = (0..4i16).flat_map(|z| (0..3).flat_map(move |y| (0..2).map(move |x| x + 10 * y + 100 * z)));
    Draft::new(&[2, 3, 4], 4, &places.flat_map(i16::to_le_bytes).collect::<Vec<u8>>())
}

fn slice(bytes: &[u8], axis: u32, i: usize) -> Grey {
    Nifti::read(bytes, axis).unwrap().frame(i)
}

fn refusal(bytes: &[u8]) -> String {
    Nifti::read(bytes, 2).err().expect("an error")
}

#[test]
fn slices_along_every_axis() {
    let file = volume().file();
    for (axis, count, sides, first) in [
        (2, 4, (2, 3), vec![20.0, 21.0, 10.0, 11.0, 0.0, 1.0]),
        (1, 3, (2, 4), vec![300.0, 301.0, 200.0, 201.0, 100.0, 101.0, 0.0, 1.0]),
        (0, 2, (3, 4), vec![300.0, 310.0, 320.0, 200.0, 210.0, 220.0, 100.0, 110.0, 120.0, 0.0, 10.0, 20.0]),
    ] {
        let read = Nifti::read(&file, axis).unwrap();
        assert_eq!((read.frames(), read.sides()), (count, sides));
        assert_eq!(slice(&file, axis, 0).values, first, "axis {axis}");
        let step = [1.0, 10.0, 100.0][axis as usize];
        let last: Vec<f32> = first.iter().map(|v| v + step * (count - 1) as f32).collect();
        assert_eq!(slice(&file, axis, count - 1).values, last);
    }
    let two = Draft::new(&[2, 2], 2, &[1, 2, 3, 4]).file();
    assert_eq!((slice(&two, 2, 0).values, Nifti::read(&two, 2).unwrap().frames()), (vec![3.0, 4.0, 1.0, 2.0], 1));
    assert!(Nifti::read(&two, 0).is_err_and(|what| what.contains("data.axis must be 2")));
    let four = Draft::new(&[2, 1, 2, 3, 1], 2, &(0..12).collect::<Vec<u8>>()).file();
    assert_eq!((slice(&four, 2, 5).values, Nifti::read(&four, 2).unwrap().frames()), (vec![10.0, 11.0], 6));
}

#[test]
fn every_type_version_order_and_compression() {
    let values = [1i8, 2, -3, 4];
    let f32s: Vec<u8> = values.iter().flat_map(|v| f32::from(*v).to_le_bytes()).collect();
    let wide = |width: usize| -> Vec<u8> {
        values.iter().flat_map(|v| i64::from(*v).to_le_bytes()[..width].to_vec()).collect()
    };
    for (kind, width, voxels) in [
        (256, 1, wide(1)),
        (4, 2, wide(2)),
        (8, 4, wide(4)),
        (1024, 8, wide(8)),
        (16, 4, f32s),
        (64, 8, values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect()),
    ] {
        let draft = Draft::new(&[4, 1, 1], kind, &voxels).single(112, 2.0).single(116, -1.0);
        for file in [draft.file(), draft.clone().swapped(width).file(), draft.packed(), draft.clone().second()] {
            assert!(is_nifti(&file));
            let grey = slice(&file, 2, 0);
            assert_eq!(
                (&grey.values[..], grey.deep, grey.range),
                (&[1.0, 3.0, -7.0, 7.0][..], true, None),
                "type {kind}"
            );
        }
    }
    for (kind, voxels, last) in [
        (2, vec![9, 255], 255.0),
        (512, vec![1, 0, 255, 255], 65535.0),
        (768, vec![0, 0, 0, 0, 0, 0, 0, 128], 2147483648.0),
    ] {
        assert_eq!(slice(&Draft::new(&[2, 1, 1], kind, &voxels).file(), 2, 0).values[1], last);
    }
}

#[test]
fn black_and_white() {
    let bytes = Draft::new(&[2, 1, 1], 2, &[0, 255]);
    let plain = slice(&bytes.file(), 2, 0);
    assert_eq!((plain.range, plain.window, plain.deep), (Some([0.0, 255.0]), None, false));
    // A slope of 0 or NaN is none.
    for slope in [0.0, f32::NAN] {
        assert!(!slice(&bytes.clone().single(112, slope).file(), 2, 0).deep);
    }
    let scaled = slice(&bytes.clone().single(112, 0.5).file(), 2, 0);
    assert_eq!((scaled.range, scaled.deep), (None, true));
    let shown = slice(&bytes.clone().single(124, 200.0).single(128, 50.0).file(), 2, 0);
    assert_eq!(shown.window, Some([50.0, 200.0]));
    assert_eq!(slice(&bytes.single(124, 5.0).single(128, 5.0).file(), 2, 0).window, None);
    let words = slice(&Draft::new(&[1, 1, 1], 512, &[1, 1]).file(), 2, 0);
    assert_eq!((words.range, words.deep), (Some([0.0, 65535.0]), true));
    assert!(slice(&volume().file(), 2, 0).shown(None).is_err_and(|what| what.contains("data.window")));
}

#[test]
fn what_is_not_read_is_named() {
    let draft = volume();
    for (file, needle) in [
        (draft.clone().short(40, 0).file(), "0 dimensions"),
        (draft.clone().short(40, 8).file(), "8 dimensions"),
        (draft.clone().short(44, 0).file(), "must be at least 1"),
        (draft.clone().short(44, -3).file(), "must be at least 1"),
        (draft.clone().short(40, 5).short(48, 1).short(50, 3).file(), "vectors are not read"),
        (draft.clone().short(44, 20_000).file(), "at most 16384 voxels per side"),
        (draft.clone().short(42, 16_000).short(44, 16_000).file(), "slices of 16000 x 16000"),
        (draft.clone().short(40, 4).short(46, 1000).short(48, 1000).file(), "1000000 slices along axis 2"),
        (draft.clone().short(46, 5).file(), "48 bytes of voxels, 2 x 3 x 5 voxels need 60"),
        (draft.clone().short(70, 128).file(), "type 128 (colours)"),
        (draft.clone().short(70, 32).file(), "type 32 (complex numbers)"),
        (draft.clone().short(70, 77).file(), "type 77 (unknown)"),
        (draft.clone().single(108, 100.0).file(), "voxels at byte 100: must be 348 to 400"),
        (draft.clone().single(108, f32::NAN).file(), "voxels at byte NaN"),
        (draft.clone().single(108, 1e30).file(), "voxels at byte"),
        (draft.clone().single(112, 1.0).single(116, f32::INFINITY).file(), "scl_inter inf"),
        (draft.file()[..350].to_vec(), "voxels at byte 352"),
        (draft.file()[..345].to_vec(), "no NIfTI file"),
        (draft.packed()[..60].to_vec(), "damaged gzip"),
        (b"\x1F\x8B\x08".to_vec(), "damaged gzip"),
    ] {
        assert!(refusal(&file).contains(needle), "{needle}: {}", refusal(&file));
    }
    let mut pair = draft.clone();
    pair.put(344, b"ni1\0");
    assert!(refusal(&pair.file()).contains(".hdr and .img"));
    for keep in 0..draft.file().len() {
        assert!(Nifti::read(&draft.file()[..keep], 2).is_err(), "{keep} bytes");
    }
    let packed = draft.packed();
    for keep in 0..packed.len() {
        assert!(Nifti::read(&packed[..keep], 2).is_err(), "{keep} bytes of gzip");
    }
}

#[test]
fn inflated_bytes_are_bounded() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 40 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 16);
    assert!(refusal(&bomb).contains("no NIfTI file"));
    // Members repeat without end; only so many bytes are inflated.
    let many = volume().packed().repeat(3);
    assert_eq!(slice(&many, 2, 0).values.len(), 6);
}
