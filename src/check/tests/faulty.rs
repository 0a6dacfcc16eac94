//! Tools for testing the comparators: a small matrix product as a row, and an engine with wrong results.

use crate::Result;
use crate::check::{CaseResult, Failure, Options, Repro, Verdict, check_case};
use crate::exec::{Descriptor, Engine, Purpose, Recording, ReferenceEngine, Tensor, Traffic};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, split, strided,
};

crate::params! {
    /// Parameters of [`Product`].
    pub struct ProductParams {
        /// Rows of y.
        rows: u32 in Count,
        /// Columns of y.
        cols: u32 in Count,
        /// Terms of each element.
        k: u32 in Count,
        /// Words between the starts of consecutive rows of y.
        stride: u32 in Stride,
    }
}

/// y = x w, rows of y `stride` words apart.
pub struct Product;

impl Kernel for Product {
    type Params = ProductParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "test/product";
    const FORMULA: &'static str = "y = x w";
    const BINDINGS: &'static [Binding; 3] =
        &[Binding::read("x", "[rows][k]"), Binding::read("w", "[k][cols]"), Binding::write("y", "[rows][cols]")];
    fn extents(&self, p: &ProductParams) -> Result<[usize; 3], String> {
        Ok([(p.rows * p.k) as usize, (p.k * p.cols) as usize, strided(p.rows, p.stride, p.cols)?])
    }
    fn build(&self, _: &ProductParams, _class: Class) -> Build {
        Build::plain("test/product.wgsl", [1, 1, 1])
    }
    fn cost(&self, _: &ProductParams) -> Cost {
        Cost::default()
    }
    fn at(&self, p: &ProductParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (row, col) = split(index, p.rows, p.stride);
        let factors =
            |i: usize| [inputs.f(0, row * p.k as usize + i), inputs.f(1, i * p.cols as usize + col % p.cols as usize)];
        let terms: Vec<f64> = (0..p.k as usize).map(|i| factors(i).iter().product()).collect();
        let lost: f64 = (0..p.k as usize).map(|i| flushed(&factors(i))).sum();
        let bound = gamma(terms.len() + 1) * terms.iter().map(|t| t.abs()).sum::<f64>() + lost;
        (col < p.cols as usize).then(|| Eval::within(terms.iter().sum(), bound))
    }
    fn cases(&self) -> Vec<ProductParams> {
        vec![ProductParams { rows: 3, cols: 5, k: 40, stride: 64 }]
    }
    fn contents(&self, _: &ProductParams) -> [Contents; 3] {
        [Contents::NORMAL, Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &ProductParams) -> bool {
        true
    }
}

/// The reference engine, with every download passed through `fault(count of earlier downloads, words)`.
pub(crate) struct Faulty<F> {
    inner: ReferenceEngine,
    fault: F,
    reads: usize,
}

impl<F: FnMut(usize, &mut [u32])> Faulty<F> {
    pub(crate) fn new(fault: F) -> Self {
        Faulty { inner: ReferenceEngine::new(), fault, reads: 0 }
    }
}

impl<F: FnMut(usize, &mut [u32])> Engine for Faulty<F> {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }
    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        self.inner.alloc(label, words)
    }
    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
        self.inner.write(to, words)
    }
    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        let mut words = self.inner.read(from, purpose)?;
        (self.fault)(self.reads, &mut words);
        self.reads += 1;
        Ok(words)
    }
    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        self.inner.run(recording, times)
    }
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
    fn traffic(&self) -> &Traffic {
        self.inner.traffic()
    }
    fn max_binding_words(&self) -> usize {
        self.inner.max_binding_words()
    }
}

/// Downloads come as x, w, y of run 1, of run 2, then the same of the next pass; y starts after 64 guard words.
const Y: usize = 64;

fn check(fault: impl FnMut(usize, &mut [u32])) -> CaseResult {
    let mut engine = Faulty::new(fault);
    check_case(&mut engine, &Repro::cases(&Product)[0], Options::default()).unwrap()
}

/// Checks with `fault` applied to every y (or, without the exact pass, to those of the rounding pass).
fn failure(pass: usize, mut fault: impl FnMut(&mut [u32])) -> Failure {
    let result = check(|read, words| {
        if read % 3 == 2 && read / 6 >= pass {
            fault(words);
        }
    });
    match result.verdict {
        Verdict::Fail(failure) => failure,
        Verdict::Pass => panic!("passed: {result:?}"),
    }
}

fn scale(words: &mut [u32], at: usize, factor: f32) {
    words[at] = (f32::from_bits(words[at]) * factor).to_bits();
}

#[test]
fn an_honest_engine_passes() {
    let result = check(|_, _| {});
    assert!(result.passed(), "{result:?}");
    assert_eq!(
        result.elements, 49,
        "two passes of 15, plus the judged elements of the special passes; gaps between the rows are not counted"
    );
    assert!(result.percent > 0.0 && result.percent < 100.0);
}

#[test]
fn nan_and_unwritten_outputs_fail() {
    for pass in [0, 1] {
        assert!(matches!(failure(pass, |y| y[Y + 1] = f32::NAN.to_bits()), Failure::NotExact(_) | Failure::Wrong(_)));
        // The pre-fill is a NaN, so that unwritten elements are detected.
        assert!(matches!(
            failure(pass, |y| y[Y + 64 * 2 + 4] = crate::check::fill::nan_word(64 * 2 + 4)),
            Failure::NotExact(_) | Failure::Wrong(_)
        ));
    }
}

#[test]
fn one_wrong_border_element_fails_and_is_named() {
    let worst = match failure(1, |y| scale(y, Y + 64 * 2 + 4, 1.0001)) {
        Failure::Wrong(worst) => worst,
        other => panic!("{other}"),
    };
    assert_eq!((worst.binding.as_str(), worst.index), ("y", 132));
    assert!(worst.percent > 100.0);
}

#[test]
fn an_exact_pass_sees_one_unit_in_the_last_place() {
    assert!(matches!(failure(0, |y| y[Y + 2] += 1), Failure::NotExact(w) if w.index == 2));
}

#[test]
fn swapped_rows_fail() {
    for pass in [0, 1] {
        assert!(matches!(
            failure(pass, |y| (0..5).for_each(|c| y.swap(Y + c, Y + 64 + c))),
            Failure::NotExact(_) | Failure::Wrong(_)
        ));
    }
}

#[test]
fn a_scale_of_one_per_cent_fails() {
    assert!(matches!(failure(1, |y| (0..5).for_each(|c| scale(y, Y + c, 1.01))), Failure::Wrong(_)));
}

#[test]
fn stray_writes_fail() {
    let offset = |failure| match failure {
        Failure::Guard { offset, .. } => offset,
        other => panic!("{other}"),
    };
    assert_eq!(offset(failure(1, |y| y[Y - 1] = 0)), -1);
    assert_eq!(offset(failure(1, |y| y[Y + 133] = 0)), 133);
    // The first word after x, as a kernel that copies one element too many would leave it after y.
    assert_eq!(offset(failure(1, |y| y[Y + 133] = crate::check::run::guard_word(0, Y))), 133);
    let gap = failure(1, |y| y[Y + 5] = 0);
    assert!(matches!(gap, Failure::Changed { index: 5, .. }), "{gap}");
}

#[test]
fn an_infinite_bound_allows_equality_only() {
    use crate::check::run::distance;
    let inf = f64::INFINITY;
    assert_eq!(distance(inf, inf, inf), (0.0, 0.0));
    for got in [1.0, -inf, f64::NAN] {
        assert!(distance(got, inf, inf).1 > 100.0, "{got}");
    }
}

#[test]
fn changed_read_only_operands_fail() {
    let result = check(|read, words| words[64 + 3] ^= (read == 1) as u32);
    assert!(matches!(result.verdict, Verdict::Fail(Failure::ReadOnly { index: 3, .. })), "{result:?}");
}

#[test]
fn runs_that_differ_fail() {
    // Only run 2 of the rounding pass, far inside the bound.
    let result = check(|read, words| words[Y + 1] ^= (read == 11) as u32);
    assert!(matches!(result.verdict, Verdict::Fail(Failure::NotRepeatable { offset: 1, .. })), "{result:?}");
}

#[test]
fn a_refusing_engine_is_a_verdict() {
    let bad = Repro { params: vec![0, 5, 1, 64], ..Repro::cases(&Product)[0].clone() };
    assert!(check_case(&mut ReferenceEngine::new(), &bad, Options::default()).is_err());
    let repro = Repro::cases(&Product).remove(0);
    let result = check_case(&mut crate::exec::CpuEngine::new(), &repro, Options::default()).unwrap();
    assert!(matches!(result.verdict, Verdict::Fail(Failure::Engine(_))), "the cpu engine has no test row");
}

#[test]
fn parameters_beyond_the_tables_are_input_errors() {
    let text = "adam:clients=1,n=4,stride=64,table_stride=2,beta1=0.5,beta2=0.9,eps=1e-8,one_minus_beta1=0.5,one_minus_beta2=0.1";
    let repro = Repro::parse(text).unwrap();
    let error = check_case(&mut ReferenceEngine::new(), &repro, Options::default()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("outside the inputs"), "{error}");
}
