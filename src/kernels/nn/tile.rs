//! The tiled variants of the convolutions, and the rule that chooses one for a shape.
//!
//! On GPUs the three convolutions are implicit matrix products with one core, `shaders/lib/tile.wgsl`. A shader that
//! includes it supplies index maps: the block of each operand, how to advance along the sum, where four results go. The
//! core loads, multiplies and stores. Each invocation holds the next step's block in registers while the previous block
//! is multiplied, advances through taps and channels without a division, loads vec4 where the channels are a multiple
//! of 4, and masks the padding.
//!
//! Tiles are 32, 64 and 128 wide. A larger tile reuses each load more often but leaves a small layer with too few
//! workgroups. [`Gemm::candidates`] prefers the largest tile that gives a single client 32 workgroups, a quarter of
//! what a large GPU runs at once, and computes at most a quarter more outputs than the smallest tile. With up to four
//! channels on one side every tile would be nearly empty: there, `narrow` variants divide a long sum among a workgroup
//! or give an invocation all channels.
//!
//! The choice depends on one client's shape alone, so chunks change no bit. All square tiles add in the same order; a
//! test requires equal bits from them on every shape. The sizes follow from the rule, none was timed on hardware;
//! `fedgan tune` measures them.

use super::conv::ConvParams;
use crate::kernels::{Arity, Build, Kernel, MAX_GROUPS, ceil_div};

/// A convolution row with tiled variants.
pub trait Tiled: Kernel<Params = ConvParams, Operands = Arity<3>> {
    /// The matrix product of one client.
    fn gemm(&self, p: &ConvParams) -> Gemm;
    /// Shader file, constants and grid of a variant; [`Tile::Narrow`] only if [`Gemm::narrow`] allows it.
    fn tiled(&self, p: &ConvParams, tile: Tile) -> Build;
}

/// A variant for GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tile {
    /// At most four rows or columns, for which any tile would be nearly empty: no tile, see the rows.
    Narrow,
    /// A workgroup of 64 computes 32 x 32 outputs, 4 x 4 per invocation.
    Small,
    /// A workgroup of 128 computes 64 x 64 outputs, 8 x 4 per invocation.
    Medium,
    /// A workgroup of 256 computes 128 x 128 outputs, 8 x 8 per invocation.
    Large,
}

/// Workgroups of one client that justify a larger tile: four clients then occupy each of a large GPU's 132 cores once.
const ENOUGH: u64 = 32;

impl Tile {
    /// The square tiles, largest first.
    pub const SQUARE: [Tile; 3] = [Tile::Large, Tile::Medium, Tile::Small];

    /// Outputs per workgroup along m and along n; 1 for [`Tile::Narrow`], which has no tile.
    pub fn side(self) -> u32 {
        match self {
            Tile::Narrow => 1,
            Tile::Small => 32,
            Tile::Medium => 64,
            Tile::Large => 128,
        }
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Tile::Narrow => "narrow",
            Tile::Small => "32x32",
            Tile::Medium => "64x64",
            Tile::Large => "128x128",
        }
    }

    /// The constants of `lib/tile.wgsl`; `lanes`: channels per load. [`Tile::Narrow`] has other shaders.
    pub(super) fn consts(self, lanes: u32) -> Vec<(&'static str, u32)> {
        let (vm, vn) = match self {
            Tile::Narrow | Tile::Small => (1, 1),
            Tile::Medium => (2, 1),
            Tile::Large => (2, 2),
        };
        vec![("SIDE", self.side()), ("VM", vm), ("VN", vn), ("V", lanes)]
    }
}

/// The input for the choice of a tile: one client's matrix product, independent of the number of clients, so that
/// chunks change no bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Outputs along the axis that is contiguous in the output.
    pub m: u32,
    /// Outputs along the other axis.
    pub n: u32,
    /// Independent products of this size: phases, or possible parts of the sum.
    pub layers: u32,
    /// True if [`Tile::Narrow`] can compute it.
    pub narrow: bool,
}

impl Gemm {
    /// Workgroups of one product along n and m.
    pub fn grid(&self, tile: Tile) -> [u32; 2] {
        [ceil_div(self.n, tile.side()), ceil_div(self.m, tile.side())]
    }

    /// The variants that can compute it, in order of preference:
    ///
    /// - [`Tile::Narrow`], if possible;
    /// - otherwise the largest tile that gives one client at least 32 workgroups and, including those beyond the ends,
    ///   computes at most a quarter more outputs than the small tile;
    /// - then the other tiles, the small one first.
    ///
    /// Tiles whose grid exceeds what every device supports are excluded.
    pub fn candidates(&self) -> Vec<Tile> {
        let groups = |tile| self.grid(tile).iter().map(|g| u64::from(*g)).product::<u64>();
        let padded = |tile: Tile| groups(tile) * u64::from(tile.side()).pow(2);
        let good =
            |tile: Tile| groups(tile) * u64::from(self.layers) >= ENOUGH && padded(tile) * 4 <= padded(Tile::Small) * 5;
        let mut list: Vec<Tile> = Tile::SQUARE.into_iter().rev().collect();
        if let Some(best) = Tile::SQUARE.into_iter().find(|tile| good(*tile)) {
            list.retain(|tile| *tile != best);
            list.insert(0, best);
        }
        list.retain(|tile| self.grid(*tile).iter().all(|g| *g <= MAX_GROUPS));
        if self.narrow {
            list.insert(0, Tile::Narrow);
        }
        list
    }

    /// The first of [`Gemm::candidates`]; the large tile if none has a grid that every device supports, which the shape
    /// rule then rejects.
    pub fn tile(&self) -> Tile {
        self.candidates().first().copied().unwrap_or(Tile::Large)
    }
}

/// [`crate::kernels::Kernel::variants`] of a tiled row: its candidates in order.
pub(super) fn variants(row: &impl Tiled, p: &ConvParams) -> Vec<(&'static str, Build)> {
    row.gemm(p).candidates().into_iter().map(|tile| (tile.name(), row.tiled(p, tile))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::nn::{conv_transpose2d::ConvTranspose2d, conv2d::Conv2d, conv2d_weight_grad::Conv2dWeightGrad};
    use crate::kernels::{AnyKernel, Class};
    use std::collections::BTreeSet;

    fn tile(m: u32, n: u32, layers: u32) -> Tile {
        Gemm { m, n, layers, narrow: false }.tile()
    }

    /// The layers of a 64 x 64 discriminator with width 64 and batch 32.
    #[test]
    fn layers_get_the_tiles_that_fill_a_gpu() {
        assert_eq!(tile(64, 32768, 1), Tile::Medium, "a large tile would be half empty");
        assert_eq!(tile(128, 8192, 1), Tile::Large);
        assert_eq!(tile(256, 2048, 1), Tile::Large);
        assert_eq!(tile(512, 512, 1), Tile::Medium, "16 large tiles are too few");
        assert_eq!(tile(512, 512, 4), Tile::Large, "64 with phases");
        assert_eq!(tile(8192, 32, 1), Tile::Small);
        assert_eq!(tile(48, 64, 512), Tile::Medium);
        assert_eq!(tile(5, 7, 1), Tile::Small);
    }

    #[test]
    fn every_variant_has_a_case_in_every_row() {
        fn covered(row: &impl Tiled) -> BTreeSet<(Tile, u32)> {
            row.cases().into_iter().map(|p| (row.gemm(&p).tile(), p.lanes())).collect()
        }
        for found in [covered(&Conv2d), covered(&ConvTranspose2d), covered(&Conv2dWeightGrad)] {
            for tile in [Tile::Narrow, Tile::Small, Tile::Medium, Tile::Large] {
                assert!(found.contains(&(tile, 4)) || tile == Tile::Narrow, "{tile:?} in {found:?}");
                assert!(found.contains(&(tile, 1)), "{tile:?} in {found:?}");
            }
        }
    }

    #[test]
    fn the_default_build_is_the_first_variant() {
        for row in [&Conv2d as &dyn AnyKernel, &ConvTranspose2d, &Conv2dWeightGrad] {
            for words in row.cases() {
                let variants = row.variants(&words);
                assert_eq!(variants[0].1, row.build(&words, Class::Tiled), "{}", row.name());
                let names: BTreeSet<&str> = variants.iter().map(|v| v.0).collect();
                assert!(names.len() == variants.len() && names.len() >= 3, "{}: {names:?}", row.name());
            }
        }
        assert!(crate::kernels::find("fill").unwrap().variants(&[1, 5, 64, 0]).is_empty());
    }

    #[test]
    fn every_tile_is_a_candidate_unless_its_grid_is_too_large() {
        let wide = Gemm { m: 4, n: 65535 * 64, layers: 1, narrow: true };
        assert_eq!(wide.candidates(), [Tile::Narrow, Tile::Medium, Tile::Large]);
        assert_eq!(Gemm { narrow: false, ..wide }.tile(), Tile::Medium);
        assert_eq!(Gemm { n: 65535 * 128 + 1, narrow: false, ..wide }.candidates(), []);
        let common = Gemm { m: 256, n: 2048, layers: 1, narrow: false };
        assert_eq!(common.candidates(), [Tile::Large, Tile::Small, Tile::Medium]);
    }
}
