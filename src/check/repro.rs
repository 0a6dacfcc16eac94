//! A case as one line: `conv2d:clients=2,n=3,...`, or a kernel's name alone for all its cases.

use super::fill::Style;
use crate::kernels::{self, AnyKernel, Scalar};
use crate::{Error, Result};

/// One problem: a kernel, its parameter words, and the seed and style of its inputs. Nothing else determines its
/// operands, guard bands and passes, so the line reproduces it exactly.
#[derive(Clone, Debug)]
pub struct Repro {
    /// The catalogue row.
    pub kernel: &'static dyn AnyKernel,
    /// Parameter words.
    pub params: Vec<u32>,
    /// Seed of the inputs; printed as `@SEED` unless 0.
    pub seed: u64,
    /// The change to the row's fills; printed as `+STYLE` after the seed unless plain.
    pub style: Style,
}

impl std::fmt::Display for Repro {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.kernel.name())?;
        for (i, (field, word)) in self.kernel.fields().iter().zip(&self.params).enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match field.ty {
                Scalar::u32 => write!(f, "{comma}{}={word}", field.name)?,
                Scalar::f32 => write!(f, "{comma}{}={:?}", field.name, f32::from_bits(*word))?,
            }
        }
        if self.seed != 0 || self.style != Style::Plain {
            write!(f, "@{}", self.seed)?;
        }
        if self.style == Style::Plain { Ok(()) } else { write!(f, "+{}", self.style.name()) }
    }
}

impl Repro {
    /// Parses the output of [`Repro`]. Every field must be given once, in any order.
    ///
    /// # Errors
    /// Names an unknown kernel, an unknown, missing or repeated field, an unreadable value or parameters that the
    /// kernel's shape rule rejects, and lists the allowed ones.
    pub fn parse(text: &str) -> Result<Repro> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let kernel = kernel(name)?;
        let (list, (seed, style)) = match rest.split_once('@') {
            None => (rest, (0, Style::Plain)),
            Some((list, inputs)) => (list, inputs_by(text, inputs)?),
        };
        let mut pairs = Vec::new();
        for item in list.split(',').filter(|item| !item.trim().is_empty()) {
            let (key, value) = item
                .split_once('=')
                .ok_or_else(|| Error::input(format!("{text}: `{item}` is not NAME=VALUE; {}", allowed(kernel))))?;
            pairs.push((key.trim(), value.trim()));
        }
        let params = assemble(kernel, &pairs, |field, value| match field {
            Scalar::u32 => value.parse().ok(),
            Scalar::f32 => value.parse().ok().map(f32::to_bits),
        })?;
        kernel.extents(&params).map_err(|what| Error::input(format!("{text}: {what}")))?;
        Ok(Repro { kernel, params, seed, style })
    }

    /// The problems in `text`: one for a repro, all cases for a kernel's name.
    ///
    /// # Errors
    /// As [`Repro::parse`].
    pub fn select(text: &str) -> Result<Vec<Repro>> {
        if text.contains(':') {
            return Ok(vec![Repro::parse(text)?]);
        }
        Ok(Repro::cases(kernel(text)?))
    }

    /// All catalogue cases of a row.
    pub fn cases(kernel: &'static dyn AnyKernel) -> Vec<Repro> {
        kernel.cases().into_iter().map(|params| Repro { kernel, params, seed: 0, style: Style::Plain }).collect()
    }
}

/// The part after the `@`: `SEED` or `SEED+STYLE`.
fn inputs_by(text: &str, inputs: &str) -> Result<(u64, Style)> {
    let (seed, style) = inputs.split_once('+').unwrap_or((inputs, Style::Plain.name()));
    let seed = seed.parse().map_err(|_| Error::input(format!("{text}: seed `{seed}` is not a whole number")))?;
    let Some(style) = Style::ALL.into_iter().find(|s| s.name() == style) else {
        let names = Style::ALL.map(Style::name).join(", ");
        return Err(Error::input(format!("{text}: no fill style `{style}`; there are: {names}")));
    };
    Ok((seed, style))
}

/// The catalogue row with that name.
///
/// # Errors
/// Lists the rows.
pub fn kernel(name: &str) -> Result<&'static dyn AnyKernel> {
    kernels::find(name).ok_or_else(|| {
        let names: Vec<&str> = kernels::CATALOGUE.iter().map(|k| k.name()).collect();
        Error::input(format!("no kernel `{name}`; there are: {}", names.join(", ")))
    })
}

/// Parameter words from names: every field exactly once. Values are f64, which represents every u32 exactly.
///
/// # Errors
/// Names unknown, missing and repeated fields, and values outside the type of their field.
pub fn params_by_name(kernel: &dyn AnyKernel, pairs: &[(&str, f64)]) -> Result<Vec<u32>> {
    assemble(kernel, pairs, |field, value| match field {
        Scalar::u32 => (value.fract() == 0.0 && (0.0..=u32::MAX as f64).contains(value)).then_some(*value as u32),
        Scalar::f32 => Some((*value as f32).to_bits()),
    })
}

fn assemble<V: std::fmt::Display>(
    kernel: &dyn AnyKernel,
    pairs: &[(&str, V)],
    word: impl Fn(Scalar, &V) -> Option<u32>,
) -> Result<Vec<u32>> {
    let fail = |what: String| Err(Error::input(format!("{}: {what}; {}", kernel.name(), allowed(kernel))));
    let mut params: Vec<Option<u32>> = vec![None; kernel.fields().len()];
    for (name, value) in pairs {
        let Some(at) = kernel.fields().iter().position(|f| f.name == *name) else {
            return fail(format!("no parameter `{name}`"));
        };
        if params[at].is_some() {
            return fail(format!("parameter `{name}` given twice"));
        }
        match word(kernel.fields()[at].ty, value) {
            Some(word) => params[at] = Some(word),
            None => return fail(format!("parameter `{name}` cannot be `{value}`")),
        }
    }
    let missing: Vec<&str> =
        kernel.fields().iter().zip(&params).filter(|(_, p)| p.is_none()).map(|(f, _)| f.name).collect();
    if !missing.is_empty() {
        return fail(format!("missing {}", missing.join(", ")));
    }
    Ok(params.into_iter().flatten().collect())
}

fn allowed(kernel: &dyn AnyKernel) -> String {
    let fields: Vec<String> = kernel.fields().iter().map(|f| format!("{}: {:?}", f.name, f.ty)).collect();
    format!("its parameters are {}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_prints_and_parses_back() {
        for kernel in kernels::CATALOGUE {
            for (i, mut repro) in Repro::cases(*kernel).into_iter().enumerate() {
                (repro.seed, repro.style) = (41 * (i as u64 % 2), Style::ALL[i % 4]);
                let back = Repro::parse(&repro.to_string()).unwrap();
                let inputs = |r: &Repro| (r.params.clone(), r.seed, r.style);
                assert_eq!((inputs(&back), back.kernel.name()), (inputs(&repro), kernel.name()));
            }
        }
    }

    /// Any numbers from a user give a rejection or a grid that every device supports, never a panic.
    #[test]
    fn any_numbers_are_refused_or_fit() {
        let mut random = crate::check::fill::Random::new(5, "any numbers", &[], 0);
        let interesting = [0, 1, 2, 3, 4, 5, 7, 16, 64, 128, 65535, 65536, 1 << 20, u32::MAX / 4, u32::MAX];
        let mut accepted = 0;
        for kernel in kernels::CATALOGUE {
            let cases = kernel.cases();
            for _ in 0..4000 {
                // A catalogue case with one to three values replaced, so that many pass the first checks.
                let mut words = cases[random.below(cases.len() as u32) as usize].clone();
                for _ in 0..1 + random.below(3) {
                    let at = random.below(words.len() as u32) as usize;
                    words[at] = match random.below(4) {
                        0 => random.bits() as u32,
                        _ => interesting[random.below(interesting.len() as u32) as usize],
                    };
                }
                if kernel.extents(&words).is_ok() {
                    accepted += 1;
                    for class in kernels::Class::ALL {
                        let grid = kernel.build(&words, class).grid;
                        let repro = Repro { kernel: *kernel, params: words.clone(), seed: 0, style: Style::Plain };
                        assert!(grid.iter().all(|g| (1..=65535).contains(g)), "{repro}: grid {grid:?}");
                    }
                }
            }
        }
        assert!(accepted > 1000);
    }

    #[test]
    fn refusals_say_what_is_allowed() {
        for (text, needle) in [
            ("convolve:n=1", "there are: "),
            ("fill:clients=1,n=5,y_stride=64,value=1,m=2", "no parameter `m`"),
            ("fill:clients=1,n=5,y_stride=64", "missing value"),
            ("fill:clients=1,n=5,n=5,y_stride=64,value=1", "given twice"),
            ("fill:clients=1,n=-5,y_stride=64,value=1", "cannot be `-5`"),
            ("fill:clients,n=5,y_stride=64,value=1", "not NAME=VALUE"),
            ("fill:clients=2,n=5,y_stride=63,value=1", "multiple of 64"),
            ("fill:clients=1,n=5,y_stride=64,value=1@x", "seed"),
            ("split_sum:clients=1,splits=65536,n=1,x_stride=64,y_stride=64,accumulate=0", "65536 parts: at most 65535"),
            (
                "batch_mean:clients=1,batch=65536,n=1,x_stride=64,y_stride=64,accumulate=0,scale=1",
                "65536 images: at most",
            ),
            ("fill:clients=1,n=5,y_stride=64,value=1@3+odd", "plain, small, large, sparse"),
        ] {
            let error = Repro::parse(text).unwrap_err();
            assert!(error.to_string().contains(needle), "{text}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        let fill = kernels::find("fill").unwrap();
        let pairs = [("clients", 1.5), ("n", 3.0), ("y_stride", 64.0), ("value", 0.5)];
        assert!(params_by_name(fill, &pairs).unwrap_err().to_string().contains("cannot be `1.5`"));
    }
}
