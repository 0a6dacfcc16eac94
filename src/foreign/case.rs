//! A build and a case of a kernel file, resolved: constants, interface, grid and the bytes of every variable.

use super::expr::{Expr, Names};
use super::fill::{Draw, draw_values, places};
use super::interface::{self, Access, Interface, Layout, Leaf, Scalar, Variable};
use super::manifest::{Build, Case, Fill, Grid, Manifest, Values};
use crate::check::fill::nan_word;
use crate::kernels::reflect::Shader;
use crate::kernels::shader::{self, Assembled, Source};
use crate::report::safetensors::{self, TensorFile};
use crate::{Error, Result, input};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Elements behind an array that no launch may write.
const GUARD: usize = 64;
/// Most bytes of a variable.
const MOST_BYTES: u64 = 4 << 30;

/// A build's shader, parsed.
#[derive(Debug)]
pub struct Loaded {
    /// The build.
    pub build: Build,
    /// Its WGSL.
    pub wgsl: Assembled,
    /// Its module.
    pub shader: Shader,
    /// Its entry point.
    pub entry: String,
}

/// Safetensors files that were read.
pub type Files = BTreeMap<PathBuf, TensorFile>;

/// A launch: everything but the device.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Sizes and constants.
    pub names: Names,
    /// The constants that the shader declares, with their values.
    pub constants: Vec<(String, f64)>,
    /// The same by the names that a pipeline knows them by: the number of a constant with `@id`.
    pub keys: Vec<(String, f64)>,
    /// The shader's interface.
    pub interface: Interface,
    /// Workgroups.
    pub grid: [u32; 3],
    /// Elements of each variable's array, in the order of the interface; 0 without one.
    pub elements: Vec<usize>,
}

impl Loaded {
    /// Reads and parses the files of `build`.
    ///
    /// # Errors
    /// An unreadable file; naga's errors, with file, line and column; no such entry point.
    pub fn read(manifest: &Manifest, build: &Build) -> Result<Loaded> {
        let read = |path: &PathBuf| {
            let text = input::read_text(path, input::SHADER);
            let text = text.map_err(|e| {
                manifest.fail_in(build, &["shader"], format!("{}: cannot be read: {e}", path.display()))
            })?;
            Ok(Source::new(path.to_string_lossy(), text))
        };
        let sources = build.files.iter().map(read).collect::<Result<Vec<_>>>()?;
        Loaded::of(manifest, build, &sources)
    }

    /// [`Loaded::read`] of texts.
    ///
    /// # Errors
    /// As [`Loaded::read`].
    pub fn of(manifest: &Manifest, build: &Build, sources: &[Source]) -> Result<Loaded> {
        let wgsl = shader::join(sources).map_err(Error::input)?;
        let shader = Shader::parse_half(&wgsl).map_err(Error::input)?;
        let entry = interface::entry(&shader, build.entry.as_deref())
            .map_err(|what| manifest.fail_in(build, &["entry"], format!("{}: {what}", wgsl.name())))?;
        let declared = interface::overrides(&shader);
        for name in &build.own {
            if !declared.contains_key(name) {
                let known = match declared.is_empty() {
                    true => "none".into(),
                    false => Vec::from_iter(declared.keys().map(String::as_str)).join(", "),
                };
                let what = format!("{} declares no `override {name}`; there are: {known}", wgsl.name());
                return Err(manifest.fail_in(build, &["constants", name], what));
            }
        }
        Ok(Loaded { build: build.clone(), wgsl, shader, entry })
    }
}

impl Problem {
    /// Resolves `case` for `loaded`; `constants` override those of file and case.
    ///
    /// # Errors
    /// The key of the file whose value does not fit the shader.
    pub fn new(manifest: &Manifest, loaded: &Loaded, case: &Case, constants: &Names) -> Result<Problem> {
        let build = &loaded.build;
        let within = |error: Error| error.and(&format!("in case `{}`", case.name));
        let mut names = manifest.sizes.clone();
        names.extend(case.sizes.clone());
        let mut given = Vec::new();
        for (name, default) in interface::overrides(&loaded.shader) {
            let set = constants.get(&name).or_else(|| case.constants.get(&name)).copied();
            let value = match (set, build.constants.get(&name)) {
                (Some(value), _) => Some(value),
                (None, Some(expr)) => {
                    let value = expr.value(&names);
                    Some(value.map_err(|what| within(manifest.fail_in(build, &["constants", &name], what)))?)
                }
                (None, None) => None,
            };
            if let Some(value) = value.or(default) {
                names.insert(name.clone(), value);
            }
            given.extend(value.map(|value| (name, value)));
        }
        let interface = Interface::of(&loaded.shader, &loaded.wgsl, &loaded.entry, &given)
            .map_err(|what| within(manifest.fail_in(build, &["constants"], what)))?;
        let grid =
            grid(build, &interface, &names).map_err(|(key, what)| within(manifest.fail_in(build, &[key], what)))?;
        let mut elements = Vec::new();
        for variable in &interface.variables {
            elements.push(length(manifest, variable, build, &names).map_err(within)?);
        }
        let keys = loaded.shader.keys(&given);
        Ok(Problem { names, constants: given, keys, interface, grid, elements })
    }

    /// Bytes of variable `at` without its guard, a multiple of 4.
    pub fn bytes(&self, at: usize) -> usize {
        let layout = &self.interface.variables[at].layout;
        let array = layout.array.as_ref().map_or(0, |a| a.stride * self.elements[at]);
        (layout.head_bytes + array).next_multiple_of(4)
    }

    /// Bytes of variable `at` that the shader may see: with the guard behind it, unless the shader asks for an array's length.
    pub fn bound(&self, at: usize) -> u64 {
        let variable = &self.interface.variables[at];
        let exact = self.interface.asks_length || variable.layout.array.is_none();
        (self.bytes(at) + if exact { 0 } else { self.guard(at) }) as u64
    }

    fn guard(&self, at: usize) -> usize {
        self.interface.variables[at].layout.array.as_ref().map_or(0, |a| (GUARD * a.stride).next_multiple_of(4))
    }

    /// Contents of every variable before the launch, with guards.
    ///
    /// # Errors
    /// The key of the file whose contents do not fit the variable.
    pub fn contents(
        &self,
        manifest: &Manifest,
        build: &Build,
        case: &Case,
        (seed, draw): (u64, Draw),
        files: &mut Files,
    ) -> Result<Vec<Vec<u8>>> {
        let mut out = Vec::with_capacity(self.interface.variables.len());
        for (at, variable) in self.interface.variables.iter().enumerate() {
            let mut bytes: Vec<u8> =
                (0..(self.bytes(at) + self.guard(at)) / 4).flat_map(|i| unwritten(at, i).to_le_bytes()).collect();
            let name = variable.name.as_str();
            if let Some(values) = build.values.get(name) {
                let fail = |what: String| manifest.fail_in(build, &["values", name], what);
                write_values(&variable.layout, values, &self.names, &mut bytes).map_err(fail)?;
            } else if let Some(fill) = fill_of(manifest, case, variable) {
                let fail = |what: String| manifest.fail(&["bindings", name, "fill"], what);
                let leaves = self.leaves(at);
                let values = match fill {
                    Fill::File { path, tensor } => {
                        let path = manifest.file(&path, &case.name);
                        let tensor = tensor.as_deref().unwrap_or(name);
                        let shape = self.shape(manifest, name)?;
                        tensor_values(files, &path, tensor, leaves.len(), &shape)?
                    }
                    fill => {
                        let element = variable.layout.array.as_ref().map(|a| a.leaves.as_slice());
                        let places = places(&variable.layout.head, element, self.elements[at]);
                        draw_values(&fill, &places, draw, (seed, name)).map_err(fail)?
                    }
                };
                for ((offset, scalar), value) in leaves.iter().zip(&values) {
                    put(&mut bytes, *offset, *scalar, *value).map_err(fail)?;
                }
            }
            out.push(bytes);
        }
        Ok(out)
    }

    /// Offset and type of every scalar of variable `at`, in memory order.
    pub fn leaves(&self, at: usize) -> Vec<(usize, Scalar)> {
        let layout = &self.interface.variables[at].layout;
        let head = layout.head.iter().map(|l| (l.offset, l.scalar));
        let array = layout.array.iter().flat_map(|a| {
            let element =
                move |i: usize| a.leaves.iter().map(move |l| (layout.head_bytes + i * a.stride + l.offset, l.scalar));
            (0..self.elements[at]).flat_map(element)
        });
        head.chain(array).collect()
    }

    /// The values of variable `at` in `bytes`.
    pub fn values(&self, at: usize, bytes: &[u8]) -> Vec<f64> {
        self.leaves(at).into_iter().map(|(offset, scalar)| get(bytes, offset, scalar)).collect()
    }

    /// The number of bytes that were changed behind variable `at`, and the first of them, counted from the end of the array.
    pub fn guard_damage(&self, at: usize, bytes: &[u8]) -> Option<usize> {
        let start = self.bytes(at);
        let intact = |i: &usize| bytes[4 * i..4 * i + 4] != unwritten(at, *i).to_le_bytes();
        (start / 4..bytes.len() / 4).find(intact).map(|i| 4 * i - start)
    }

    /// How to call scalar `index` of variable `at`: `y[3, 4].x`.
    pub fn element(&self, manifest: &Manifest, at: usize, index: usize) -> String {
        let variable = &self.interface.variables[at];
        let layout = &variable.layout;
        let Some(leaf) = index.checked_sub(layout.head.len()) else {
            return format!("{}{}", variable.name, layout.head[index].path);
        };
        let Some(array) = &layout.array else { return variable.name.clone() };
        let (mut element, path) = match array.counts {
            1 => (leaf / array.leaves.len(), array.leaves[leaf % array.leaves.len()].path.as_str()),
            _ => (leaf, ""),
        };
        let shape = self.shape(manifest, &variable.name).unwrap_or_default();
        let mut parts = Vec::new();
        for side in shape.iter().skip(1).rev() {
            parts.push((element % (*side).max(1)).to_string());
            element /= (*side).max(1);
        }
        parts.push(element.to_string());
        parts.reverse();
        format!("{}[{}]{path}", variable.name, parts.join(", "))
    }

    /// The shape of a variable as the file gives it.
    pub fn shape(&self, manifest: &Manifest, name: &str) -> Result<Vec<usize>> {
        let shape = manifest.bindings.get(name).map(|b| b.shape.as_slice()).unwrap_or_default();
        let side = |e: &Expr| e.whole(&self.names, 0, MOST_BYTES).map(|v| v as usize);
        shape
            .iter()
            .map(side)
            .collect::<Result<_, String>>()
            .map_err(|what| manifest.fail(&["bindings", name, "shape"], what))
    }

    /// The place of a variable in the interface.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.interface.variables.iter().position(|v| v.name == name)
    }
}

/// Word `i` of variable `at` before a launch: a NaN that no other variable has at this place, because what a kernel computes with a NaN may have
/// its bits.
fn unwritten(at: usize, i: usize) -> u32 {
    nan_word(i + 0x1_0001 * (at + 1))
}

/// What a variable contains before the launch: as the case says, as its binding says, and else normally distributed floats in an input.
fn fill_of(manifest: &Manifest, case: &Case, variable: &Variable) -> Option<Fill> {
    let own = case.fills.get(&variable.name).cloned();
    let usual = (variable.access == Access::Read).then_some(Fill::Normal { mean: 0.0, std: 1.0 });
    own.or_else(|| manifest.bindings.get(&variable.name)?.fill.clone()).or(usual)
}

fn grid(build: &Build, interface: &Interface, names: &Names) -> Result<[u32; 3], (&'static str, String)> {
    let (key, exprs, unit) = match &build.grid {
        Grid::Workgroups(exprs) => ("workgroups", exprs, [1; 3]),
        Grid::Threads(exprs) => ("threads", exprs, interface.workgroup),
    };
    let mut out = [1; 3];
    for ((slot, expr), unit) in out.iter_mut().zip(exprs).zip(unit) {
        let wanted = expr.whole(names, 1, u64::from(u32::MAX)).map_err(|what| (key, what))?;
        *slot = wanted.div_ceil(u64::from(unit.max(1))) as u32;
    }
    Ok(out)
}

/// Elements of a variable's array.
fn length(manifest: &Manifest, variable: &Variable, build: &Build, names: &Names) -> Result<usize> {
    let name = variable.name.as_str();
    let binding = manifest.bindings.get(name);
    let has_values = build.values.contains_key(name);
    let Some(array) = &variable.layout.array else {
        if binding.is_none() && !has_values {
            let [group, number] = [variable.group, variable.binding];
            let what = format!(
                "the shader's variable `{name}` (group {group}, binding {number}) is in neither `values` nor `bindings`"
            );
            return Err(manifest.fail_in(build, &["values"], what));
        }
        return match binding.filter(|b| !b.shape.is_empty()) {
            Some(_) => Err(manifest
                .fail(&["bindings", name, "shape"], "the shader gives this variable a fixed size: leave `shape` out")),
            None => Ok(0),
        };
    };
    if has_values {
        return Err(manifest.fail_in(
            build,
            &["values", name],
            "an array without a length: it belongs in `bindings`, with a `shape`",
        ));
    }
    let Some(binding) = binding.filter(|b| !b.shape.is_empty()) else {
        let what = format!("the shader's array `{name}` has no length: expected `bindings.{name}.shape`");
        return Err(manifest.fail(&["bindings", name], what));
    };
    let fail = |what: String| manifest.fail(&["bindings", name, "shape"], what);
    let mut elements = 1u64;
    for side in &binding.shape {
        let side = side.whole(names, 0, MOST_BYTES).map_err(fail)?;
        elements = elements.saturating_mul(side);
    }
    let counts = array.counts as u64;
    if !elements.is_multiple_of(counts) {
        return Err(fail(format!("{elements} numbers do not fill elements of {counts} numbers")));
    }
    let elements = elements / counts;
    match elements.saturating_mul(array.stride as u64) {
        0 => Err(fail("no element".into())),
        bytes if bytes > MOST_BYTES => Err(fail(format!("{bytes} bytes, at most {MOST_BYTES} are allowed"))),
        _ => Ok(elements as usize),
    }
}

/// Writes `values` into the fixed part of a variable; every scalar must get one.
fn write_values(layout: &Layout, values: &Values, names: &Names, bytes: &mut [u8]) -> Result<(), String> {
    let mut given: Vec<Option<f64>> = vec![None; layout.head.len()];
    assign(&layout.head, "", values, names, &mut given)?;
    for (leaf, value) in layout.head.iter().zip(&given) {
        let name = leaf.path.trim_start_matches('.');
        let value = value.ok_or_else(|| format!("field `{name}` has no value"))?;
        put(bytes, leaf.offset, leaf.scalar, value).map_err(|what| format!("field `{name}`: {what}"))?;
    }
    Ok(())
}

fn assign(
    leaves: &[Leaf],
    path: &str,
    values: &Values,
    names: &Names,
    given: &mut [Option<f64>],
) -> Result<(), String> {
    // `.a` has `.a`, `.a.x` and `.a[0]`, not `.ab`.
    let below =
        |leaf: &Leaf| leaf.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let of: Vec<usize> = (0..leaves.len()).filter(|i| below(&leaves[*i])).collect();
    let name = path.trim_start_matches('.');
    match values {
        Values::Fields(fields) => {
            for (key, value) in fields {
                let next = format!("{path}.{key}");
                if !leaves.iter().any(|l| {
                    l.path == next || l.path.starts_with(&format!("{next}.")) || l.path.starts_with(&format!("{next}["))
                }) {
                    let known = |l: &Leaf| {
                        let rest = l.path.strip_prefix(path)?.strip_prefix('.')?;
                        Some(rest.split(['.', '[']).next().unwrap_or_default().to_string())
                    };
                    let mut fields: Vec<String> = leaves.iter().filter_map(known).collect();
                    fields.dedup();
                    return Err(format!(
                        "the shader has no field `{}`; there are: {}",
                        next.trim_start_matches('.'),
                        fields.join(", ")
                    ));
                }
                assign(leaves, &next, value, names, given)?;
            }
            Ok(())
        }
        Values::One(expr) if of.len() == 1 => {
            given[of[0]] = Some(expr.value(names)?);
            Ok(())
        }
        Values::One(_) => Err(format!("`{name}` has {} numbers: expected a list or a table", of.len())),
        Values::List(_) => {
            let mut flat = Vec::new();
            flatten(values, &mut flat)?;
            if flat.len() != of.len() {
                return Err(format!("`{name}` has {} numbers, {} are given", of.len(), flat.len()));
            }
            for (at, expr) in of.into_iter().zip(flat) {
                given[at] = Some(expr.value(names)?);
            }
            Ok(())
        }
    }
}

fn flatten<'a>(values: &'a Values, out: &mut Vec<&'a Expr>) -> Result<(), String> {
    match values {
        Values::One(expr) => out.push(expr),
        Values::List(list) => list.iter().try_for_each(|v| flatten(v, out))?,
        Values::Fields(_) => return Err("a table inside a list: give structs by their fields".into()),
    }
    Ok(())
}

/// The `count` values of tensor `name`; its shape must be `shape` if it has as many sides, or hold as many values.
pub fn tensor_values(files: &mut Files, path: &PathBuf, name: &str, count: usize, shape: &[usize]) -> Result<Vec<f64>> {
    if !files.contains_key(path) {
        files.insert(path.clone(), safetensors::load(path)?);
    }
    let tensor = files.get(path).ok_or_else(|| Error::internal("a file that was read"))?.tensor(name)?;
    let fits = tensor.values.len() == count && (tensor.shape.len() != shape.len() || tensor.shape == shape);
    match fits {
        true => Ok(tensor.values.clone()),
        false => Err(Error::file(
            path,
            format!("tensor '{name}' has shape {:?}; expected {shape:?}, {count} values", tensor.shape),
        )),
    }
}

/// Stores `value` as a `scalar`; floats are rounded.
fn put(bytes: &mut [u8], at: usize, scalar: Scalar, value: f64) -> Result<(), String> {
    let whole = |least: f64, most: f64| match value.fract() == 0.0 && (least..=most).contains(&value) {
        true => Ok(value as i64),
        false => Err(format!("{value} is not a {}", scalar.name())),
    };
    match scalar {
        Scalar::F32 => bytes[at..at + 4].copy_from_slice(&(value as f32).to_le_bytes()),
        Scalar::F16 => bytes[at..at + 2].copy_from_slice(&half::f16::from_f64(value).to_le_bytes()),
        Scalar::U32 => bytes[at..at + 4].copy_from_slice(&(whole(0.0, f64::from(u32::MAX))? as u32).to_le_bytes()),
        Scalar::I32 => {
            let value = whole(f64::from(i32::MIN), f64::from(i32::MAX))? as i32;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
    Ok(())
}

fn get(bytes: &[u8], at: usize, scalar: Scalar) -> f64 {
    let word = |n: usize| {
        let mut word = [0; 4];
        word[..n].copy_from_slice(&bytes[at..at + n]);
        u32::from_le_bytes(word)
    };
    match scalar {
        Scalar::F32 => f64::from(f32::from_bits(word(4))),
        Scalar::F16 => half::f16::from_bits(word(2) as u16).to_f64(),
        Scalar::U32 => f64::from(word(4)),
        Scalar::I32 => f64::from(word(4) as i32),
    }
}

/// Clears the signs of all numbers of variable `at`.
pub fn magnitudes(problem: &Problem, at: usize, bytes: &mut [u8]) {
    for (offset, scalar) in problem.leaves(at) {
        let top = offset + scalar.bytes() - 1;
        if scalar.is_float() {
            bytes[top] &= 0x7f;
        } else if scalar == Scalar::I32 {
            let _ = put(bytes, offset, scalar, get(bytes, offset, scalar).abs());
        }
    }
}
