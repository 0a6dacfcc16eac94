//! Every tiled variant on the same shapes, not only the one that a shape gets: within the bounds, and the same bits.

use fedgan::check::{Checker, Options, Repro, fill};
use fedgan::exec::{Engine, Purpose, Recording, align};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::nn::conv::ConvParams;
use fedgan::kernels::nn::conv_transpose2d::ConvTranspose2d;
use fedgan::kernels::nn::conv2d::Conv2d;
use fedgan::kernels::nn::conv2d_weight_grad::Conv2dWeightGrad;
use fedgan::kernels::nn::tile::{Tile, Tiled};
use fedgan::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params};

/// A row that always builds one variant.
struct Forced<T: 'static>(&'static T, Tile);

impl<T: Kernel + Tiled> Kernel for Forced<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn family(&self) -> &'static str {
        self.0.family()
    }
    fn formula(&self) -> &'static str {
        self.0.formula()
    }
    fn fields(&self) -> &'static [Field] {
        self.0.fields()
    }
    fn bindings(&self) -> &'static [Binding] {
        self.0.bindings()
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        self.0.extents(words)
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        self.0.tiled(&ConvParams::from_words(words), self.1)
    }
    fn cost(&self, words: &[u32]) -> Cost {
        self.0.cost(words)
    }
    fn at(&self, words: &[u32], inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        self.0.at(words, inputs, slot, index)
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        self.0.cases()
    }
    fn fills(&self, words: &[u32]) -> Vec<Fill> {
        self.0.fills(words)
    }
    fn exact_on_integers(&self, words: &[u32]) -> bool {
        self.0.exact_on_integers(words)
    }
    fn meets_padding(&self, words: &[u32]) -> &'static [usize] {
        self.0.meets_padding(words)
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

/// Holds every candidate for the row's cheap cases against the reference; square tiles must give the same bits.
fn every_candidate<T: Kernel + Tiled>(row: &'static T) {
    let mut engine = GpuEngine::open("gpu", GpuOptions { class: Some(Class::Tiled), ..GpuOptions::default() })
        .unwrap_or_else(|e| panic!("tests need a Vulkan adapter: run scripts/test --install-driver: {e}"));
    let mut compared = 0;
    for words in row.cases().into_iter().filter(|words| row.cost(words).flops < 3e6) {
        let p = ConvParams::from_words(&words);
        let candidates = row.gemm(&p).candidates();
        assert!(Tile::SQUARE.iter().all(|tile| candidates.contains(tile)), "{p:?}: {candidates:?}");
        let mut square: Option<(Tile, Vec<u32>)> = None;
        for tile in candidates {
            let kernel: &'static dyn Kernel = Box::leak(Box::new(Forced(row, tile)));
            let repro = Repro { kernel, params: words.clone(), seed: 3, style: fill::Style::Plain };
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
