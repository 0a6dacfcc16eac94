//! Every tiled variant on the same shapes, not only the preferred one: within the bounds, and with the same bits.

use fedgan::check::{Checker, Options, Repro, fill};
use fedgan::exec::{Engine, Purpose, Recording, align};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::nn::conv::ConvParams;
use fedgan::kernels::nn::conv_transpose2d::ConvTranspose2d;
use fedgan::kernels::nn::conv2d::Conv2d;
use fedgan::kernels::nn::conv2d_weight_grad::Conv2dWeightGrad;
use fedgan::kernels::nn::tile::{Tile, Tiled};
use fedgan::kernels::{AnyKernel, Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, Params};

/// A row that always builds one variant.
struct Forced<T: 'static>(&'static T, Tile);

impl<T: Tiled> Kernel for Forced<T> {
    type Params = ConvParams;
    type Operands = Arity<3>;
    const STEM: &'static str = T::STEM;
    const FORMULA: &'static str = T::FORMULA;
    const BINDINGS: &'static [Binding; 3] = T::BINDINGS;
    fn extents(&self, p: &ConvParams) -> Result<[usize; 3], String> {
        Kernel::extents(self.0, p)
    }
    fn build(&self, p: &ConvParams, _class: Class) -> Build {
        self.0.tiled(p, self.1)
    }
    fn cost(&self, p: &ConvParams) -> Cost {
        Kernel::cost(self.0, p)
    }
    fn at(&self, p: &ConvParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        Kernel::at(self.0, p, inputs, slot, index)
    }
    fn cases(&self) -> Vec<ConvParams> {
        Kernel::cases(self.0)
    }
    fn contents(&self, p: &ConvParams) -> [Contents; 3] {
        Kernel::contents(self.0, p)
    }
    fn exact_on_integers(&self, p: &ConvParams) -> bool {
        Kernel::exact_on_integers(self.0, p)
    }
    fn meets_padding(&self, p: &ConvParams) -> &'static [usize] {
        Kernel::meets_padding(self.0, p)
    }
}

/// The output of a launch on the repro's inputs.
fn output(engine: &mut GpuEngine, repro: &Repro) -> Vec<u32> {
    let inputs =
        fill::operands(repro.kernel, &repro.params, fill::Pass::Rounding, repro.seed, repro.style).expect("operands");
    let tensors: Vec<_> = inputs
        .iter()
        .map(|words| {
            let tensor = engine.alloc("operand", align(words.len())).unwrap();
            engine.write(tensor, words).unwrap();
            tensor
        })
        .collect();
    let mut recording = Recording::new();
    recording.launch_words(repro.kernel, repro.params.clone(), &tensors, repro.kernel.name()).unwrap();
    engine.run(&recording, 1).unwrap();
    engine.read(tensors[2], Purpose::Check).unwrap()[..inputs[2].len()].to_vec()
}

/// Compares every candidate with the reference for the row's cheap cases; square tiles must give the same bits.
fn every_candidate<T: Tiled>(row: &'static T) {
    let mut engine = GpuEngine::open("gpu", GpuOptions { class: Some(Class::Tiled), ..GpuOptions::default() })
        .unwrap_or_else(|e| panic!("tests need a Vulkan adapter: run scripts/test --install-driver: {e}"));
    let mut compared = 0;
    for p in Kernel::cases(row).into_iter().filter(|p| Kernel::cost(row, p).flops < 3e6) {
        let candidates = row.gemm(&p).candidates();
        assert!(Tile::SQUARE.iter().all(|tile| candidates.contains(tile)), "{p:?}: {candidates:?}");
        let mut square: Option<(Tile, Vec<u32>)> = None;
        for tile in candidates {
            let kernel: &'static dyn AnyKernel = Box::leak(Box::new(Forced(row, tile)));
            let repro = Repro { kernel, params: p.words(), seed: 3, style: fill::Style::Plain };
            let result = Checker::new(&mut engine).case(&repro, Options::default()).unwrap();
            assert!(result.passed(), "{} {repro}: {:?}", tile.name(), result.verdict);
            if tile == Tile::Narrow {
                continue;
            }
            let words = output(&mut engine, &repro);
            match &square {
                Some((other, bits)) => {
                    assert!(*bits == words, "{repro}: {} and {} differ", tile.name(), other.name());
                    compared += 1;
                }
                None => square = Some((tile, words)),
            }
        }
    }
    assert!(compared >= 20, "{}: {compared} pairs of variants compared", row.name());
}

#[test]
fn every_variant_of_conv2d_gives_the_same_bits() {
    every_candidate(&Conv2d);
}

#[test]
fn every_variant_of_conv_transpose2d_gives_the_same_bits() {
    every_candidate(&ConvTranspose2d);
}

#[test]
fn every_variant_of_conv2d_weight_grad_gives_the_same_bits() {
    every_candidate(&Conv2dWeightGrad);
}
