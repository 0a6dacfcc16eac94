//! The text as instructions and labels, and its control flow.

use std::collections::BTreeMap;

/// What an instruction is to the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A multiply-add of f32.
    Fma,
    /// A product of f32.
    Multiply,
    /// A sum or difference of f32.
    Add,
    /// A 32-bit integer product, at a quarter of the rate.
    SlowMultiply,
    /// A root, reciprocal, power or angle, at a quarter of the rate.
    Transcendental,
    /// Any other instruction of the vector unit.
    Vector,
    /// A load from a buffer.
    Load,
    /// A store or atomic operation to a buffer.
    Store,
    /// An access to workgroup memory.
    Shared,
    /// A wait until at most this many accesses to buffers are under way.
    Wait(usize),
    /// Anything else.
    Other,
}

/// One line of the text.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Its mnemonic.
    pub name: String,
    /// What stands behind it, without the encoding.
    pub operands: String,
    /// What it is.
    pub kind: Kind,
}

impl Instruction {
    fn parse(line: &str) -> Option<Instruction> {
        let line = line.split(';').next().unwrap_or_default().trim();
        let (name, operands) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let named = name.starts_with(|c: char| c.is_ascii_lowercase());
        let (name, operands) = (name.to_string(), operands.trim().to_string());
        let kind = kind(&name, &operands);
        named.then_some(Instruction { name, operands, kind })
    }

    /// Issue slots of the vector unit.
    pub fn slots(&self) -> f64 {
        match self.kind {
            Kind::SlowMultiply | Kind::Transcendental => 4.0,
            Kind::Fma | Kind::Multiply | Kind::Add | Kind::Vector => 1.0,
            _ => 0.0,
        }
    }

    /// Vector registers of the first operand, unless that is read: stores have no result.
    pub fn writes(&self) -> impl Iterator<Item = u32> {
        let results = !matches!(self.kind, Kind::Store) && !self.name.starts_with("ds_write");
        self.operands.split(',').take(usize::from(results)).flat_map(registers)
    }

    /// Vector registers of the operands behind the first.
    pub fn reads(&self) -> impl Iterator<Item = u32> {
        self.operands.split(',').skip(1).flat_map(registers)
    }
}

fn kind(name: &str, operands: &str) -> Kind {
    let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    let f32 = name.contains("_f32");
    if f32 && starts(&["v_fma", "v_mac_", "v_mad", "v_pk_fma", "v_dual_fma"]) {
        Kind::Fma
    } else if starts(&["v_mul_f32", "v_pk_mul_f32"]) {
        Kind::Multiply
    } else if starts(&["v_add_f32", "v_sub_f32", "v_subrev_f32", "v_pk_add_f32"]) {
        Kind::Add
    } else if starts(&["v_mul_lo_", "v_mul_hi_u32", "v_mul_hi_i32", "v_mad_u64_u32", "v_mad_i64_i32"])
        && !name.contains("16")
    {
        Kind::SlowMultiply
    } else if f32 && starts(&["v_rcp_", "v_rsq_", "v_sqrt_", "v_exp_", "v_log_", "v_sin_", "v_cos_"]) {
        Kind::Transcendental
    } else if starts(&["v_"]) {
        Kind::Vector
    } else if starts(&["buffer_load", "global_load", "flat_load"]) {
        Kind::Load
    } else if starts(&["buffer_", "global_", "flat_"]) {
        Kind::Store
    } else if starts(&["ds_"]) {
        Kind::Shared
    } else {
        let count = operands.split_once("vmcnt(").and_then(|(_, rest)| rest.split(')').next()?.parse().ok());
        if name == "s_waitcnt" { count.map_or(Kind::Other, Kind::Wait) } else { Kind::Other }
    }
}

/// Vector registers in an operand: `v7`, `-|v7|`, `v[4:7]`.
fn registers(operand: &str) -> std::ops::Range<u32> {
    let word = operand.trim().trim_start_matches(['-', '|', '(']);
    let Some(number) = word.strip_prefix('v') else { return 0..0 };
    let end = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let parse = |text: &str| text[..end(text)].parse::<u32>().ok();
    let range = match number.strip_prefix('[').and_then(|list| list.split_once(':')) {
        Some((first, last)) => parse(first).zip(parse(last)),
        None => parse(number).map(|n| (n, n)),
    };
    range.map_or(0..0, |(first, last)| first..last + 1)
}

/// A parsed assembly text.
#[derive(Debug)]
pub struct Text {
    /// All instructions, in order.
    pub instructions: Vec<Instruction>,
    /// For each label the instruction behind it.
    labels: BTreeMap<String, usize>,
}

impl Text {
    /// Reads what RADV prints: labels `BB7:` and indented instructions, each followed by its encoding.
    pub fn parse(text: &str) -> Text {
        let (mut instructions, mut labels) = (Vec::new(), BTreeMap::new());
        for line in text.lines() {
            match line.trim_end().strip_suffix(':') {
                Some(label) => drop(labels.insert(label.to_string(), instructions.len())),
                None => instructions.extend(Instruction::parse(line)),
            }
        }
        Text { instructions, labels }
    }

    /// Where a branch leads.
    fn target(&self, at: usize) -> Option<usize> {
        let instruction = self.instructions.get(at)?;
        let branch = instruction.name.starts_with("s_branch") || instruction.name.starts_with("s_cbranch");
        self.labels.get(&instruction.operands).copied().filter(|_| branch)
    }

    /// Loops as (first, last instruction): the last branches back to the first. Several branches back are one loop.
    pub fn loops(&self) -> Vec<(usize, usize)> {
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        for at in 0..self.instructions.len() {
            if let Some(first) = self.target(at).filter(|first| *first <= at) {
                last.insert(first, at);
            }
        }
        last.into_iter().collect()
    }

    /// The share of subgroups that run each instruction: a half on both sides of an `if` with `else`. There the branch around the
    /// first side leads to the instruction that turns the lanes round, and behind that is the branch around the second. A side
    /// without such a branch is short, and runs always.
    pub fn weights(&self) -> Vec<f64> {
        let mut weights = vec![1.0; self.instructions.len()];
        let around = |at: usize| {
            let skips = self.instructions.get(at)?.name == "s_cbranch_execz";
            self.target(at).filter(|to| skips && *to > at)
        };
        for at in 0..self.instructions.len() {
            let Some(turn) = around(at) else { continue };
            let turns = |i: &Instruction| i.name.starts_with("s_andn2_b") && i.operands.starts_with("exec");
            let Some(end) = self.instructions.get(turn).filter(|i| turns(i)).and_then(|_| around(turn + 1)) else {
                continue;
            };
            for weight in weights[at + 1..turn].iter_mut() {
                *weight /= 2.0;
            }
            for weight in weights[turn + 2..end].iter_mut() {
                *weight /= 2.0;
            }
        }
        weights
    }
}
