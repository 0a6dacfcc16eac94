//! The shader variants of the tiled convolutions and which of them a shape gets.

use super::conv::ConvParams;
use crate::kernels::{Arity, Build, Kernel, MAX_GROUPS, ceil_div};

/// A convolution row with tiled variants.
pub trait Tiled: Kernel<Params = ConvParams, Operands = Arity<3>> {
    /// The matrix product of one client.
    fn gemm(&self, p: &ConvParams) -> Gemm;
    /// Shader file, constants and grid of a variant; [`Tile::Narrow`] only where [`Gemm::narrow`] says so.
    fn tiled(&self, p: &ConvParams, tile: Tile) -> Build;
}

/// A variant for GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tile {
    /// At most four rows or columns, of which any tile would be nearly empty: no tile, see the rows.
    Narrow,
    /// A workgroup of 64 computes 32 x 32 outputs, 4 x 4 an invocation.
    Small,
    /// A workgroup of 128 computes 64 x 64 outputs, 8 x 4 an invocation.
    Medium,
    /// A workgroup of 256 computes 128 x 128 outputs, 8 x 8 an invocation.
    Large,
}

/// Workgroups of one client that are worth a larger tile: four clients then give one to each of a large GPU's 132 cores.
const ENOUGH: u64 = 32;

impl Tile {
    /// The tiles proper, largest first.
    pub const SQUARE: [Tile; 3] = [Tile::Large, Tile::Medium, Tile::Small];

    /// Outputs of a workgroup along m and along n; 1 of [`Tile::Narrow`], which has no tile.
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

    /// The constants of `lib/tile.wgsl`; `lanes`: channels a load. [`Tile::Narrow`] has other shaders.
    pub(super) fn consts(self, lanes: u32) -> Vec<(&'static str, u32)> {
        let (vm, vn) = match self {
            Tile::Narrow | Tile::Small => (1, 1),
            Tile::Medium => (2, 1),
            Tile::Large => (2, 2),
        };
        vec![("SIDE", self.side()), ("VM", vm), ("VN", vn), ("LANES", lanes)]
    }
}

/// What the choice of a tile depends on: one client's matrix product, never the number of clients, so that chunks of clients
/// change no bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Outputs along the axis that is contiguous in the output.
    pub m: u32,
    /// Outputs along the other axis.
    pub n: u32,
    /// Independent products of this size: phases, or parts that the sum may have.
    pub layers: u32,
    /// True if [`Tile::Narrow`] can compute it.
    pub narrow: bool,
}

impl Gemm {
    /// Workgroups of one product along n and m.
    pub fn grid(&self, tile: Tile) -> [u32; 2] {
        [ceil_div(self.n, tile.side()), ceil_div(self.m, tile.side())]
    }

    /// The variants that can compute it, best first as far as a rule can tell:
    ///
    /// - [`Tile::Narrow`], where it is possible;
    /// - else the largest tile that gives one client at least 32 workgroups and computes at most a quarter more outputs, those
    ///   beyond the ends, than the small tile does;
    /// - then the others, the small tile first.
    ///
    /// Tiles whose grid exceeds what every device takes are left out.
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

    /// The first of [`Gemm::candidates`]; the large tile where none has a grid that every device takes, which the shape rule
    /// then refuses.
    pub fn tile(&self) -> Tile {
        self.candidates().first().copied().unwrap_or(Tile::Large)
    }
}

/// [`crate::kernels::Kernel::variants`] of a tiled row: its candidates in their order.
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
