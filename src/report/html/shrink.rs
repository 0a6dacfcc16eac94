//! Sample grids in a size that many runs on one page allow.

use super::load::Run;
use crate::data::guard::guarded;
use crate::report::picture::{corner, encode_small_png, square};
use image::ImageFormat;
use std::borrow::Cow;

/// Bytes of all pictures of a page; base64 makes four thirds of them. Pictures of more runs show fewer images.
pub const MOST: usize = 4_500_000;

/// A picture for the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown<'a> {
    /// A PNG file.
    pub png: Cow<'a, [u8]>,
    /// Rows and columns of a larger grid, if only its first rows and columns are shown.
    pub of: Option<[usize; 2]>,
}

/// A grid of `run`, in at most about `most` bytes if it can be: at first without its enlargement, then with fewer images. A picture
/// that is not a grid of the plan's shape stays as it is.
pub fn fit<'a>(png: &'a [u8], run: &Run, most: usize) -> Shown<'a> {
    let whole = Shown { png: Cow::Borrowed(png), of: None };
    if png.len() <= most {
        return whole;
    }
    smaller(png, run, most).unwrap_or(whole)
}

fn smaller(png: &[u8], run: &Run, most: usize) -> Option<Shown<'static>> {
    let key = |key: &str| run.plan.keys.get(key)?.parse::<usize>().ok();
    let (size, columns) = (key("model.image_size")?, key("evaluation.grid")?);
    // The plan's numbers are somebody's; a picture is decoded only if it has the size that the header says and they explain.
    let width = u32::from_be_bytes(*png.get(16..)?.first_chunk()?);
    if !(1..=256).contains(&size) || !(1..=32).contains(&columns) || width != square(size, columns) {
        return None;
    }
    let height = u32::from_be_bytes(*png.get(20..)?.first_chunk()?);
    let decoded = || image::load_from_memory_with_format(png, ImageFormat::Png).ok().map(|image| image.to_rgb8());
    let picture = (height <= width).then(|| guarded(decoded)).flatten()??;
    let mut keep = columns;
    loop {
        let part = encode_small_png(&corner(&picture, size, columns, keep)?).ok()?;
        if part.len() <= most || keep == 1 {
            let of = (keep < columns).then_some([keep, columns]);
            return Some(Shown { png: Cow::Owned(part), of });
        }
        let fits = keep as f64 * (most as f64 / part.len() as f64).sqrt();
        keep = (fits as usize).clamp(1, keep - 1);
    }
}
