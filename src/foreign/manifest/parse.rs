//! Reads a kernel file key by key.

use super::{Binding, Build, Case, CostSpec, Fill, Grid, Manifest, Only, Tolerance, Truth, Values};
use crate::Result;
use crate::foreign::document::{Document, Node};
use crate::foreign::expr::{Expr, FUNCTION_NAMES, Names};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Value;

/// Most cases of a file, with every combination of listed values counted.
const MOST_CASES: usize = 1000;
/// Most combinations of constants that `tune` tries.
const MOST_BUILDS: usize = 256;

/// The checked contents of `document`.
pub(super) fn manifest(document: Document) -> Result<Manifest> {
    let root = document.root();
    root.only(&[
        "shader",
        "entry",
        "sizes",
        "constants",
        "values",
        "bindings",
        "workgroups",
        "threads",
        "tolerance",
        "truth",
        "cost",
        "candidates",
        "cases",
        "tune",
        "equivalent",
        "repeatable",
    ])?;
    let sizes = match root.get("sizes") {
        Some(node) => node.entries()?.iter().map(size).collect::<Result<Names>>()?,
        None => Names::new(),
    };
    let main = build(&root, None, &document)?;
    let tolerance = root.get("tolerance").map(|node| tolerance(&node)).transpose()?;
    let mut bindings = BTreeMap::new();
    for node in root.get("bindings").map(|n| n.entries()).transpose()?.unwrap_or_default() {
        let binding = binding(&node)?;
        if main.values.contains_key(node.key()) {
            return Err(node.fail("also in `values`: a variable has either"));
        }
        bindings.insert(node.key().to_string(), binding);
    }
    let truth = match root.get("truth") {
        Some(node) => truth(&node, &main, &document)?,
        None => return Err(root.fail("no `truth`: expected `truth = { shader = \"naive.wgsl\" }`, `{ file = \"expected.safetensors\" }` or `{ kernel = \"NAME\", ... }`")),
    };
    let cost = match root.get("cost") {
        Some(node) => {
            node.only(&["flops", "bytes"])?;
            let expr = |key| node.get(key).map(|n| n.expr()).transpose();
            CostSpec { flops: expr("flops")?, bytes: expr("bytes")? }
        }
        None => CostSpec::default(),
    };
    let mut builds = vec![main.clone()];
    for node in root.get("candidates").map(|n| n.entries()).transpose()?.unwrap_or_default() {
        node.only(&BUILD_KEYS)?;
        let candidate = build(&node, Some(&main), &document)?;
        if candidate.name == main.name {
            return Err(node.fail("the kernel itself has this name"));
        }
        builds.push(candidate);
    }
    let cases = match root.get("cases") {
        Some(node) => cases(&node, &sizes, &bindings)?,
        None => vec![Case {
            name: "default".into(),
            sizes: Names::new(),
            constants: Names::new(),
            fills: BTreeMap::new(),
            only: None,
        }],
    };
    let tune = match root.get("tune") {
        Some(node) => node.entries()?.iter().map(choices).collect::<Result<Vec<_>>>()?,
        None => Vec::new(),
    };
    if tune.iter().map(|(_, values)| values.len()).product::<usize>() > MOST_BUILDS {
        return Err(root.get("tune").unwrap_or(root.clone()).fail(format!("more than {MOST_BUILDS} combinations")));
    }
    let strings = |n: Node| n.list()?.iter().map(|n| n.text().map(String::from)).collect::<Result<Vec<_>>>();
    let equivalent = root.get("equivalent").map(strings).transpose()?.unwrap_or_default();
    let repeatable = root.get("repeatable").map(|n| n.flag()).transpose()?.unwrap_or(true);
    Ok(Manifest { sizes, builds, bindings, tolerance, truth, cost, cases, tune, equivalent, repeatable, document })
}

const BUILD_KEYS: [&str; 6] = ["shader", "entry", "constants", "values", "workgroups", "threads"];

fn name_of(node: &Node) -> Result<String> {
    let name = node.key();
    let first = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    match first && name.chars().all(|c| c.is_alphanumeric() || c == '_') && !FUNCTION_NAMES.contains(&name) {
        true => Ok(name.to_string()),
        false => Err(node.fail("not a name for a size or a constant: letters, digits and `_`, not a function's name")),
    }
}

fn size(node: &Node) -> Result<(String, f64)> {
    Ok((name_of(node)?, node.number()?))
}

fn build(node: &Node, base: Option<&Build>, document: &Document) -> Result<Build> {
    let files = match node.get("shader") {
        Some(shader) => {
            let nodes = if shader.value.is_array() { shader.list()? } else { vec![shader.clone()] };
            if nodes.is_empty() {
                return Err(shader.fail("an empty list: expected a WGSL file"));
            }
            nodes.iter().map(|n| n.text().map(|file| document.folder().join(file))).collect::<Result<Vec<_>>>()?
        }
        None => match base {
            Some(base) => base.files.clone(),
            None => return Err(node.fail("no `shader`: expected the name of a WGSL file")),
        },
    };
    let own_files = node.get("shader").is_some();
    let mut constants = base.map(|b| b.constants.clone()).unwrap_or_default();
    let mut own = Vec::new();
    for entry in node.get("constants").map(|n| n.entries()).transpose()?.unwrap_or_default() {
        let name = name_of(&entry)?;
        constants.insert(name.clone(), entry.expr()?);
        own.push(name);
    }
    let mut variables = base.map(|b| b.values.clone()).unwrap_or_default();
    for entry in node.get("values").map(|n| n.entries()).transpose()?.unwrap_or_default() {
        variables.insert(entry.key().to_string(), values(&entry)?);
    }
    let grid = match (node.get("workgroups"), node.get("threads"), base) {
        (Some(_), Some(threads), _) => return Err(threads.fail("`workgroups` is given as well: a launch has either")),
        (Some(groups), None, _) => Grid::Workgroups(three(&groups)?),
        (None, Some(threads), _) => Grid::Threads(three(&threads)?),
        (None, None, Some(base)) => base.grid.clone(),
        (None, None, None) => {
            return Err(node.fail("no grid: expected `workgroups = [X, Y, Z]` or `threads = [X, Y, Z]`"));
        }
    };
    let entry = match node.get("entry") {
        Some(entry) => Some(entry.text()?.to_string()),
        None => base.filter(|_| !own_files).and_then(|b| b.entry.clone()),
    };
    let stem = |path: &PathBuf| path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let name = match base {
        Some(_) => node.key().to_string(),
        None => files.last().map(stem).unwrap_or_default(),
    };
    let key = if node.key().is_empty() { Vec::new() } else { node.name().split('.').map(String::from).collect() };
    Ok(Build { name, key, files, entry, constants, own, values: variables, grid })
}

fn three(node: &Node) -> Result<[Expr; 3]> {
    let nodes = if node.value.is_array() { node.list()? } else { vec![node.clone()] };
    if !(1..=3).contains(&nodes.len()) {
        return Err(node.fail(format!("{} numbers, expected 1 to 3: along x, y and z", nodes.len())));
    }
    let mut out = [(); 3].map(|()| Expr::number(1.0));
    for (slot, node) in out.iter_mut().zip(&nodes) {
        *slot = node.expr()?;
    }
    Ok(out)
}

fn values(node: &Node) -> Result<Values> {
    Ok(match node.value {
        Value::Table(_) => {
            let fields = node.entries()?;
            Values::Fields(fields.iter().map(|n| Ok((n.key().to_string(), values(n)?))).collect::<Result<_>>()?)
        }
        Value::Array(_) => Values::List(node.list()?.iter().map(values).collect::<Result<_>>()?),
        _ => Values::One(node.expr()?),
    })
}

fn binding(node: &Node) -> Result<Binding> {
    node.only(&["shape", "fill", "tolerance", "scratch"])?;
    let shape = match node.get("shape") {
        Some(shape) if shape.value.is_array() => shape.list()?.iter().map(Node::expr).collect::<Result<_>>()?,
        Some(shape) => vec![shape.expr()?],
        None => Vec::new(),
    };
    Ok(Binding {
        shape,
        fill: node.get("fill").map(|n| fill(&n)).transpose()?,
        tolerance: node.get("tolerance").map(|n| tolerance(&n)).transpose()?,
        scratch: node.get("scratch").map(|n| n.flag()).transpose()?.unwrap_or(false),
    })
}

fn fill(node: &Node) -> Result<Fill> {
    const NAMES: &str = "normal, uniform, integers, index, zeros, ones, a number, a list of numbers, or a table such as { kind = \"normal\", std = 2 }, \
                         { file = \"x.safetensors\" } or { fields = { position = \"normal\", id = \"index\" } }";
    let constant = |value| Fill::Range { start: value, step: 0.0 };
    match node.value {
        Value::String(name) => Ok(match name.as_str() {
            "normal" => Fill::Normal { mean: 0.0, std: 1.0 },
            "uniform" => Fill::Uniform { from: 0.0, to: 1.0 },
            "integers" => Fill::Integers { from: -3, to: 3 },
            "index" => Fill::Range { start: 0.0, step: 1.0 },
            "zeros" => constant(0.0),
            "ones" => constant(1.0),
            _ => return Err(node.fail(format!("`{name}`, expected {NAMES}"))),
        }),
        Value::Integer(_) | Value::Float(_) => Ok(constant(node.real()?)),
        Value::Array(_) => match node.list()?.iter().map(Node::real).collect::<Result<Vec<f64>>>()? {
            list if list.is_empty() => Err(node.fail("an empty list")),
            list => Ok(Fill::List(list)),
        },
        Value::Table(_) => {
            if let Some(file) = node.get("file") {
                node.only(&["file", "tensor"])?;
                let tensor = node.get("tensor").map(|n| n.text().map(String::from)).transpose()?;
                return Ok(Fill::File { path: file.text()?.to_string(), tensor });
            }
            if let Some(fields) = node.get("fields") {
                node.only(&["fields"])?;
                let field = |n: &Node| match fill(n)? {
                    Fill::File { .. } => Err(n.fail("a tensor fills a whole variable, not a field")),
                    fill => Ok((n.key().to_string(), fill)),
                };
                return Ok(Fill::Fields(fields.entries()?.iter().map(field).collect::<Result<_>>()?));
            }
            let kind = node
                .get("kind")
                .ok_or_else(|| node.fail(format!("neither `kind`, `file` nor `fields`; expected {NAMES}")))?;
            let number = |key: &str, default: f64| node.get(key).map_or(Ok(default), |n| n.number());
            let whole =
                |key: &str, default: i64| node.get(key).map_or(Ok(default), |n| n.whole(-(1 << 31), (1 << 32) - 1));
            match kind.text()? {
                "normal" => {
                    node.only(&["kind", "mean", "std"])?;
                    let std = number("std", 1.0)?;
                    if std < 0.0 {
                        return Err(node.fail("a negative `std`"));
                    }
                    Ok(Fill::Normal { mean: number("mean", 0.0)?, std })
                }
                "uniform" => {
                    node.only(&["kind", "from", "to"])?;
                    let (from, to) = (number("from", 0.0)?, number("to", 1.0)?);
                    if from >= to {
                        return Err(node.fail(format!("`from` is {from} and `to` {to}: expected `from` below `to`")));
                    }
                    Ok(Fill::Uniform { from, to })
                }
                "integers" => {
                    node.only(&["kind", "from", "to"])?;
                    let (from, to) = (whole("from", -3)?, whole("to", 3)?);
                    if from > to {
                        return Err(node.fail(format!("`from` is {from} and `to` {to}: expected `from` at most `to`")));
                    }
                    Ok(Fill::Integers { from, to })
                }
                "range" => {
                    node.only(&["kind", "start", "step"])?;
                    Ok(Fill::Range { start: number("start", 0.0)?, step: number("step", 1.0)? })
                }
                other => Err(kind.fail(format!("`{other}`, expected normal, uniform, integers or range"))),
            }
        }
        _ => Err(node.fail(format!("expected {NAMES}"))),
    }
}

fn tolerance(node: &Node) -> Result<Tolerance> {
    const FORMS: &str = "\"exact\", { abs = A, rel = R }, { ulp = N } or { sum = K }";
    match node.value {
        Value::String(name) if name == "exact" => Ok(Tolerance::Exact),
        Value::Table(_) => {
            if let Some(sum) = node.get("sum") {
                node.only(&["sum"])?;
                return Ok(Tolerance::Sum(sum.expr()?));
            }
            node.only(&["abs", "rel", "ulp"])?;
            let number = |key: &str| match node.get(key) {
                None => Ok(0.0),
                Some(n) => match n.number()? {
                    value if value >= 0.0 => Ok(value),
                    value => Err(n.fail(format!("{value}, expected at least 0"))),
                },
            };
            let (abs, rel, ulp) = (number("abs")?, number("rel")?, number("ulp")?);
            if abs == 0.0 && rel == 0.0 && ulp == 0.0 {
                return Err(node.fail(format!("no difference is allowed: expected {FORMS}")));
            }
            Ok(Tolerance::Near { abs, rel, ulp })
        }
        _ => Err(node.fail(format!("expected {FORMS}"))),
    }
}

fn truth(node: &Node, main: &Build, document: &Document) -> Result<Truth> {
    match (node.get("shader"), node.get("file"), node.get("kernel")) {
        (Some(_), None, None) => {
            node.only(&BUILD_KEYS)?;
            let own = build(node, Some(main), document)?;
            let mut build = Build { name: "truth".into(), ..own };
            // The kernel's constants are its own business; the truth has those that it declares and is given.
            build.constants.retain(|name, _| build.own.contains(name));
            Ok(Truth::Shader(Box::new(build)))
        }
        (None, Some(file), None) => {
            node.only(&["file"])?;
            Ok(Truth::File(file.text()?.to_string()))
        }
        (None, None, Some(kernel)) => {
            node.only(&["kernel", "params", "bindings"])?;
            let entries = |key: &str| node.get(key).map(|n| n.entries()).transpose().map(Option::unwrap_or_default);
            let params =
                entries("params")?.iter().map(|n| Ok((n.key().to_string(), n.expr()?))).collect::<Result<_>>()?;
            let bindings = entries("bindings")?
                .iter()
                .map(|n| Ok((n.key().to_string(), n.text()?.to_string())))
                .collect::<Result<_>>()?;
            Ok(Truth::Kernel { name: kernel.text()?.to_string(), params, bindings })
        }
        _ => Err(node.fail("expected one of `shader`, `file` and `kernel`")),
    }
}

/// A number or a list of numbers.
fn choices(node: &Node) -> Result<(String, Vec<f64>)> {
    let nodes = if node.value.is_array() { node.list()? } else { vec![node.clone()] };
    if nodes.is_empty() {
        return Err(node.fail("an empty list"));
    }
    Ok((name_of(node)?, nodes.iter().map(Node::number).collect::<Result<_>>()?))
}

fn cases(node: &Node, sizes: &Names, bindings: &BTreeMap<String, Binding>) -> Result<Vec<Case>> {
    let mut out: Vec<Case> = Vec::new();
    for entry in node.list()? {
        entry.only(&["name", "sizes", "constants", "fills", "only"])?;
        let lists = |key: &str| -> Result<Vec<(String, Vec<f64>)>> {
            entry
                .get(key)
                .map(|n| n.entries()?.iter().map(choices).collect())
                .transpose()
                .map(Option::unwrap_or_default)
        };
        let (own_sizes, constants) = (lists("sizes")?, lists("constants")?);
        for (name, _) in &own_sizes {
            let at = || entry.get("sizes").and_then(|n| n.get(name)).unwrap_or(entry.clone());
            if !sizes.contains_key(name) {
                let known = Vec::from_iter(sizes.keys().map(String::as_str)).join(", ");
                return Err(at().fail(format!("no such size in [sizes]; there are: {known}")));
            }
        }
        let only = match entry.get("only") {
            None => None,
            Some(n) => match n.text()? {
                "validate" => Some(Only::Validate),
                "bench" => Some(Only::Bench),
                other => return Err(n.fail(format!("`{other}`, expected \"validate\" or \"bench\""))),
            },
        };
        let mut fills = BTreeMap::new();
        for node in entry.get("fills").map(|n| n.entries()).transpose()?.unwrap_or_default() {
            if !bindings.contains_key(node.key()) {
                let known = Vec::from_iter(bindings.keys().map(String::as_str)).join(", ");
                return Err(node.fail(format!("no such variable in [bindings]; there are: {known}")));
            }
            fills.insert(node.key().to_string(), fill(&node)?);
        }
        let given = entry.get("name").map(|n| n.text().map(String::from)).transpose()?;
        let listed = own_sizes.iter().chain(&constants).filter(|(_, values)| values.len() > 1).count() > 0;
        let mut combined = vec![(Names::new(), Names::new())];
        for (which, (name, values)) in own_sizes.iter().map(|l| (0, l)).chain(constants.iter().map(|l| (1, l))) {
            if combined.len() * values.len() > MOST_CASES {
                return Err(entry.fail(format!("more than {MOST_CASES} cases")));
            }
            let with = |(sizes, constants): &(Names, Names), value: &f64| {
                let mut pair = (sizes.clone(), constants.clone());
                let names = if which == 0 { &mut pair.0 } else { &mut pair.1 };
                names.insert(name.clone(), *value);
                pair
            };
            combined = combined.iter().flat_map(|pair| values.iter().map(move |v| with(pair, v))).collect();
        }
        for (sizes, constants) in combined {
            let all: Vec<String> =
                sizes.iter().chain(&constants).map(|(name, value)| format!("{name}={value}")).collect();
            let name = match &given {
                Some(name) if !listed => name.clone(),
                Some(name) => format!("{name}-{}", all.join("-")),
                None if all.is_empty() => "default".into(),
                None => all.join("-"),
            };
            if name.is_empty() || name.contains(['/', '\\']) || name.contains(char::is_control) {
                return Err(entry.fail(format!("`{name}` is not a name for a case")));
            }
            if out.iter().any(|case| case.name == name) {
                return Err(entry.fail(format!("a second case `{name}`")));
            }
            out.push(Case { name, sizes, constants, fills: fills.clone(), only });
        }
        if out.len() > MOST_CASES {
            return Err(node.fail(format!("more than {MOST_CASES} cases")));
        }
    }
    if out.is_empty() {
        return Err(node.fail("an empty list: expected at least one case"));
    }
    Ok(out)
}
