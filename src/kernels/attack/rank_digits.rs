//! How often each value of a digit occurs among a row's keys by magnitude.

use super::magnitude::{BINS, DIGITS, agrees, digit_of, key};
use crate::kernels::fed::pairs::{SLICE, sliced, slices};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, strided};

crate::params! {
    /// Parameters of [`RankDigits`].
    pub struct RankDigitsParams {
        /// Elements.
        n: u32 in Count,
        /// The digit, from 0 to 7.
        digit: u32 in Range(0, 7),
    }
}

/// Keys order the elements of x by descending magnitude, equal ones by ascending index: eight digits of eight bits, 2^31 - 1 - the
/// bits of `|x[i]|`, then i. `y[s, b]` is the number of elements of slice s whose key has the digits of `found[0]`, `found[1]` before
/// `digit` and b at it. With [`RankChoose`](super::rank_choose::RankChoose), eight such launches find the key of any rank.
pub struct RankDigits;

impl Kernel for RankDigits {
    type Params = RankDigitsParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "attack/rank_digits";
    const FORMULA: &'static str =
        "y[s, b] = number of i in slice s with digit `digit` of key(i) equal to b and those before it equal to found's";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read_u32("x", "[n] floats as words"),
        Binding::read_u32("found", "[3]: the key's two words as far as they are found, and the rank within"),
        Binding::write_u32("y", "[slices][256], slices of 4096 elements"),
    ];
    fn extents(&self, p: &RankDigitsParams) -> Result<[usize; 3], String> {
        let n = strided(1, p.n, p.n)?;
        if p.digit >= DIGITS {
            return Err(format!("digit {}: must be below {DIGITS}", p.digit));
        }
        if slices(p.n) > MAX_GROUPS {
            let most = u64::from(MAX_GROUPS) * u64::from(SLICE);
            return Err(format!("{} elements: at most {most} fit the grid", p.n));
        }
        Ok([n, 3, (slices(p.n) * BINS) as usize])
    }
    fn build(&self, p: &RankDigitsParams, _class: Class) -> Build {
        sliced("attack/rank_digits.wgsl", [slices(p.n), 1, 1])
    }
    fn cost(&self, p: &RankDigitsParams) -> Cost {
        Cost { flops: f64::from(p.n), bytes: 4.0 * (f64::from(p.n) + f64::from(slices(p.n) * BINS)) }
    }
    fn at(&self, p: &RankDigitsParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (slice, bin) = (index / BINS as usize, (index % BINS as usize) as u32);
        let found = [inputs.u(1, 0), inputs.u(1, 1)];
        let first = slice * SLICE as usize;
        let elements = first..(first + SLICE as usize).min(p.n as usize);
        let counts = |i: &usize| {
            let key = key(inputs.u(0, *i), *i);
            agrees(key, found, p.digit) && digit_of(key, p.digit) == bin
        };
        Some(Eval::exact(elements.filter(counts).count() as f64))
    }
    fn cases(&self) -> Vec<RankDigitsParams> {
        [(1, 0), (70, 1), (4099, 2), (9000, 3), (515, 4), (9000, 6), (700, 7), (65_536 + 300, 5)]
            .map(|(n, digit)| RankDigitsParams { n, digit })
            .to_vec()
    }
    fn contents(&self, p: &RankDigitsParams) -> [Contents; 3] {
        // Words that differ from the one found in the digit, before it, behind it and in the sign.
        let found = key(0x3f81_4a25, if p.digit == 5 { 0x1_0000 } else { 0 });
        let (_, shift) = super::magnitude::place(p.digit.min(3));
        let word = |i: u32| {
            let other = match i % 6 {
                0 => 0,
                1 => (i % 256) << shift,
                2 => 1 << (shift + 8).min(30),
                3 => {
                    if shift > 0 {
                        1
                    } else {
                        0
                    }
                }
                4 => (i / 6 % 3) << shift,
                _ => 0x8000_0000,
            };
            0x3f81_4a25 ^ other
        };
        let rank = [found[0], found[1], 1];
        [Contents::Words((0..p.n.min(9000)).map(word).collect()), Contents::Words(rank.to_vec()), Contents::Nan]
    }
}
