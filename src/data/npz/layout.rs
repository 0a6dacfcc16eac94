//! The meaning of the dimensions of an array of images, and the positions of its elements.

/// Positions of the pixels of the images in an array; strides count elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Images, or volumes that are cut into slices.
    pub items: usize,
    /// Slices per item; 1 without an axis.
    pub slices: usize,
    pub height: usize,
    pub width: usize,
    /// Channels, 1 or 3.
    pub depth: usize,
    item: usize,
    slice: usize,
    row: usize,
    column: usize,
    channel: usize,
    /// Items are contiguous, so they can be read in blocks.
    pub streamed: bool,
}

impl Layout {
    /// The meaning of `shape`: `[n, h, w]`, `[n, h, w, 1 or 3]` or `[n, 1 or 3, h, w]`; with an `axis` (1 to 3) volumes
    /// `[n, d, h, w]`, optionally with 1 or 3 channels at the end.
    ///
    /// # Errors
    /// The expected shape, without the array's name.
    pub fn of(shape: &[usize], fortran: bool, axis: Option<u32>) -> Result<Layout, String> {
        let channels = |side: usize| matches!(side, 1 | 3);
        // Positions of the dimensions in the shape: slices, rows, columns, channels.
        let sides = match (axis, shape) {
            (_, sides) if sides.contains(&0) => return Err(format!("shape {shape:?}, expected no dimension of 0")),
            (None, [_, _, _]) => (None, 1, 2, None),
            (None, [_, _, _, c]) if channels(*c) => (None, 1, 2, Some(3)),
            (None, [_, c, _, _]) if channels(*c) => (None, 2, 3, Some(1)),
            (None, [_, _, _, _] | [_, _, _, _, 1 | 3]) => {
                return Err(format!(
                    "shape {shape:?}, possibly volumes: data.axis = 1, 2 or 3 cuts [n, d, h, w] into slices along that axis \
                     of the array; images are [n, h, w], with 1 or 3 channels at the end"
                ));
            }
            (Some(axis @ 1..=3), [_, _, _, _] | [_, _, _, _, 1 | 3]) => {
                let axis = axis as usize;
                let rest: Vec<usize> = (1..4).filter(|side| *side != axis).collect();
                (Some(axis), rest[0], rest[1], (shape.len() == 5).then_some(4))
            }
            (Some(axis), _) => {
                return Err(format!(
                    "shape {shape:?} with data.axis = {axis}, expected volumes [n, d, h, w], optionally with 1 or 3 channels at the \
                     end, and an axis from 1 to 3"
                ));
            }
            (None, _) => {
                return Err(format!(
                    "shape {shape:?}, expected [n, h, w], or with 1 or 3 channels [n, h, w, c] or [n, c, h, w]"
                ));
            }
        };
        let strides = strides(shape, fortran);
        let (slice, row, column, channel) = sides;
        let side = |at: Option<usize>| at.map_or((1, 0), |at| (shape[at], strides[at]));
        let ((slices, slice), (depth, channel)) = (side(slice), side(channel));
        Ok(Layout {
            items: shape[0],
            slices,
            height: shape[row],
            width: shape[column],
            depth,
            item: strides[0],
            slice,
            row: strides[row],
            column: strides[column],
            channel,
            streamed: !fortran || shape[0] == 1,
        })
    }

    /// Elements of an image.
    pub fn image(&self) -> usize {
        self.height * self.width * self.depth
    }

    /// Elements of an item.
    pub fn volume(&self) -> usize {
        self.slices * self.image()
    }

    /// Positions of an image's elements, row by row, relative to the first element of item `first`.
    pub fn places(&self, item: usize, slice: usize) -> impl Iterator<Item = usize> + '_ {
        let start = item * self.item + slice * self.slice;
        (0..self.height).flat_map(move |y| {
            (0..self.width).flat_map(move |x| {
                (0..self.depth).map(move |c| start + y * self.row + x * self.column + c * self.channel)
            })
        })
    }
}

/// Element distances between neighbours along each dimension.
fn strides(shape: &[usize], fortran: bool) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    if fortran {
        (1..shape.len()).for_each(|i| strides[i] = strides[i - 1] * shape[i - 1]);
    } else {
        (1..shape.len()).rev().for_each(|i| strides[i - 1] = strides[i] * shape[i]);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every image of every supported shape, in both orders, against plain indices.
    #[test]
    fn places_are_those_of_the_indices() {
        for (shape, axis, sides) in [
            (&[2usize, 4, 5][..], None, [9, 1, 2, 9]),
            (&[2, 4, 5, 1], None, [9, 1, 2, 3]),
            (&[2, 4, 5, 3], None, [9, 1, 2, 3]),
            (&[2, 1, 4, 5], None, [9, 2, 3, 1]),
            (&[2, 3, 4, 5], None, [9, 2, 3, 1]),
            (&[2, 3, 4, 5], Some(1), [1, 2, 3, 9]),
            (&[2, 3, 4, 5], Some(2), [2, 1, 3, 9]),
            (&[2, 3, 4, 5], Some(3), [3, 1, 2, 9]),
            (&[2, 6, 4, 5, 3], Some(2), [2, 1, 3, 4]),
        ] {
            for fortran in [false, true] {
                let layout = Layout::of(shape, fortran, axis).unwrap();
                let strides = strides(shape, fortran);
                let side = |at: usize| shape.get(at).copied().unwrap_or(1);
                let [s, y, x, c] = sides;
                assert_eq!((layout.items, layout.slices), (2, side(s)));
                for item in 0..2 {
                    for slice in 0..side(s) {
                        let mut expected = Vec::new();
                        for row in 0..side(y) {
                            for column in 0..side(x) {
                                for channel in 0..side(c) {
                                    let mut index = vec![0; shape.len()];
                                    index[0] = item;
                                    for (at, value) in [(s, slice), (y, row), (x, column), (c, channel)] {
                                        if at < shape.len() {
                                            index[at] = value;
                                        }
                                    }
                                    expected.push(index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>());
                                }
                            }
                        }
                        assert_eq!(
                            layout.places(item, slice).collect::<Vec<_>>(),
                            expected,
                            "{shape:?} {fortran} {axis:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn ambiguous_shapes_are_refused() {
        for (shape, axis, needle) in [
            (&[5usize][..], None, "[n, h, w]"),
            (&[5, 28], None, "[n, h, w]"),
            (&[], None, "[n, h, w]"),
            (&[5, 28, 28, 28], None, "data.axis"),
            (&[5, 28, 28, 2], None, "data.axis"),
            (&[5, 28, 28, 28, 3], None, "data.axis"),
            (&[5, 28, 28, 28, 4], None, "[n, h, w]"),
            (&[0, 28, 28], None, "no dimension of 0"),
            (&[5, 28, 28], Some(1), "expected volumes"),
            (&[5, 28, 28, 28], Some(0), "from 1 to 3"),
            (&[5, 28, 28, 28], Some(4), "from 1 to 3"),
            (&[5, 28, 28, 28, 2], Some(1), "expected volumes"),
        ] {
            let what = Layout::of(shape, false, axis).unwrap_err();
            assert!(what.contains(needle), "{shape:?}: {what}");
        }
    }
}
