//! The ways in which a shader is broken.

use super::syntax::{Place, Syntax, TokenKind};
use crate::kernels::{Access, AnyKernel, Scalar};

/// What the operators need to know about a shader's variables.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    /// The variables that hold results.
    pub(super) outputs: Vec<String>,
    /// A `u32` that is not a constant, because a constant NaN is refused: a field of the parameter block.
    pub(super) number: Option<String>,
    /// The strides among the fields of the parameter block.
    pub(super) strides: Vec<String>,
}

impl Subject {
    /// The variables of a catalogue row.
    pub(super) fn of(kernel: &dyn AnyKernel) -> Subject {
        let written = kernel.bindings().iter().filter(|b| b.access == Access::ReadWrite);
        let fields = kernel.fields();
        Subject {
            outputs: written.map(|b| b.name.to_string()).collect(),
            number: fields.iter().find(|f| f.ty == Scalar::u32).map(|f| format!("p.{}", f.name)),
            strides: fields.iter().map(|f| f.name.to_string()).filter(|n| n.ends_with("_stride")).collect(),
        }
    }
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// `a - b` becomes `b - a`, `a / b` becomes `b / a`.
    SwapOperands,
    /// `+` becomes `-` and the reverse, also in `+=`.
    Sign,
    /// A statement `x += ...` is removed, or the right term of a `+` dropped.
    DropTerm,
    /// A loop starts one later.
    LoopLate,
    /// A loop ends one earlier: the last tap, or the last element of a grid-stride loop, is left out.
    LoopShort,
    /// A loop runs one too far.
    LoopLong,
    /// An `if` is always taken.
    GuardDropped,
    /// The condition of an `if` or of a `select` is negated.
    GuardNegated,
    /// `<` becomes `<=`, `>` becomes `>=` and the reverse, outside loop headers.
    Border,
    /// An index is one too large.
    IndexOff,
    /// A `workgroupBarrier()` is removed.
    NoBarrier,
    /// A store to an output is removed.
    StaleOutput,
    /// A NaN is stored.
    Nan,
    /// What is stored is 1 % too large.
    Scale,
    /// Client 0 is taken for every client.
    WrongClient,
    /// Another operand's stride is taken.
    WrongStride,
    /// `min` becomes `max` and the reverse.
    MinMax,
    /// An integer literal is one too large, a real one 1 % (0: becomes 1).
    Constant,
}

impl Operator {
    /// All of them.
    pub const ALL: [Operator; 18] = [
        Operator::SwapOperands,
        Operator::Sign,
        Operator::DropTerm,
        Operator::LoopLate,
        Operator::LoopShort,
        Operator::LoopLong,
        Operator::GuardDropped,
        Operator::GuardNegated,
        Operator::Border,
        Operator::IndexOff,
        Operator::NoBarrier,
        Operator::StaleOutput,
        Operator::Nan,
        Operator::Scale,
        Operator::WrongClient,
        Operator::WrongStride,
        Operator::MinMax,
        Operator::Constant,
    ];

    /// The name printed in tables, e.g. `swap-operands`.
    pub fn name(self) -> String {
        let mut out = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_uppercase() && !out.is_empty() {
                out.push('-');
            }
            out.push(c.to_ascii_lowercase());
        }
        out
    }
}

/// A replacement of bytes `span` of a shader's text.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) span: (usize, usize),
    pub(super) with: String,
}

/// The sites of `operator` in a shader with the variables `subject`, in the order of the text.
pub(super) fn sites(operator: Operator, syntax: &Syntax, subject: &Subject) -> Vec<Edit> {
    (0..syntax.len())
        .filter(|at| syntax.place(*at) != Place::Outside)
        .filter_map(|at| match syntax.place(at) {
            Place::Header(part) => header(operator, syntax, at, part),
            _ => body(operator, syntax, at, subject),
        })
        .collect()
}

/// Loop headers have operators of their own: others could make a loop endless, which hangs a device.
fn header(operator: Operator, syntax: &Syntax, at: usize, part: usize) -> Option<Edit> {
    let edit = |with: &str| Some(Edit { span: syntax.span(at, at), with: with.into() });
    match (operator, part, syntax.word(at)) {
        (Operator::LoopLate, 0, ";") => edit(" + 1u;"),
        (Operator::LoopShort, 1, "<") => edit("+ 1u <"),
        // Loops that halve: `width > 0u`, `width >= LX`.
        (Operator::LoopShort, 1, ">") => edit("> 1u +"),
        (Operator::LoopShort, 1, ">=") => edit(">"),
        (Operator::LoopLong, 1, "<") => edit("<="),
        _ => None,
    }
}

fn body(operator: Operator, syntax: &Syntax, at: usize, subject: &Subject) -> Option<Edit> {
    let word = syntax.word(at);
    let replace = |with: String| Some(Edit { span: syntax.span(at, at), with });
    match operator {
        Operator::SwapOperands => {
            let (first, last) = binary(syntax, at, &["-", "/"])?;
            let with = format!("(({}) {word} ({}))", syntax.text(at + 1, last), syntax.text(first, at - 1));
            Some(Edit { span: syntax.span(first, last), with })
        }
        Operator::Sign => {
            let other = match word {
                "+=" => "-=",
                "-=" => "+=",
                "+" if syntax.binary(at) => "-",
                "-" if syntax.binary(at) => "+",
                _ => return None,
            };
            replace(other.into())
        }
        Operator::DropTerm => drop_term(syntax, at),
        Operator::GuardDropped if word == "if" => {
            let (first, last) = syntax.condition(at)?;
            Some(Edit { span: syntax.span(first, last), with: "true".into() })
        }
        Operator::GuardNegated => negated(syntax, at),
        Operator::Border => {
            let other = match word {
                "<" => "<=",
                "<=" => "<",
                ">" => ">=",
                ">=" => ">",
                _ => return None,
            };
            replace(other.into())
        }
        Operator::IndexOff if word == "[" => {
            let close = syntax.partner(at)?;
            Some(Edit { span: syntax.span(close, close), with: " + 1u]".into() })
        }
        Operator::NoBarrier if word == "workgroupBarrier" => {
            Some(Edit { span: syntax.span(at, syntax.partner(at + 1)?), with: String::new() })
        }
        Operator::StaleOutput | Operator::Nan | Operator::Scale => stored(operator, syntax, at, subject),
        Operator::WrongClient if word == "z" && syntax.word(at.wrapping_sub(1)) == "." => {
            Some(Edit { span: syntax.span(at.checked_sub(2)?, at), with: "0u".into() })
        }
        Operator::WrongStride => other_stride(syntax, at, subject).and_then(replace),
        Operator::MinMax if syntax.word(at + 1) == "(" => match word {
            "min" => replace("max".into()),
            "max" => replace("min".into()),
            _ => None,
        },
        Operator::Constant if syntax.kind(at) == TokenKind::Number => replace(literal(word)),
        _ => None,
    }
}

/// The operands of token `at` if it is one of these binary operators.
fn binary(syntax: &Syntax, at: usize, words: &[&str]) -> Option<(usize, usize)> {
    if !words.contains(&syntax.word(at)) || !syntax.binary(at) {
        return None;
    }
    syntax.operands(at)
}

fn drop_term(syntax: &Syntax, at: usize) -> Option<Edit> {
    if let Some((_, last)) = binary(syntax, at, &["+"]) {
        return Some(Edit { span: syntax.span(at, last), with: String::new() });
    }
    if syntax.word(at) != "+=" {
        return None;
    }
    let first = (0..=at).rev().find(|i| syntax.begins(*i))?;
    Some(Edit { span: syntax.span(first, syntax.statement_end(at)?), with: String::new() })
}

fn negated(syntax: &Syntax, at: usize) -> Option<Edit> {
    let (first, last) = match syntax.word(at) {
        "if" => syntax.condition(at)?,
        "select" => {
            let close = syntax.partner(at + 1)?;
            (last_comma(syntax, at + 1, close)? + 1, close - 1)
        }
        _ => return None,
    };
    Some(Edit { span: syntax.span(first, last), with: format!("!({})", syntax.text(first, last)) })
}

/// The last comma directly between the brackets `open` and `close`.
fn last_comma(syntax: &Syntax, open: usize, close: usize) -> Option<usize> {
    let mut at = close;
    while at > open {
        at -= 1;
        match syntax.word(at) {
            ")" | "]" => at = syntax.partner(at)?,
            "," => return Some(at),
            _ => {}
        }
    }
    None
}

/// Operators on `output[...] = value;` and `output[...] += value;`.
fn stored(operator: Operator, syntax: &Syntax, at: usize, subject: &Subject) -> Option<Edit> {
    let output = subject.outputs.iter().any(|name| name == syntax.word(at));
    if !output || syntax.word(at + 1) != "[" || !syntax.begins(at) {
        return None;
    }
    let assign = syntax.partner(at + 1)? + 1;
    if !matches!(syntax.word(assign), "=" | "+=" | "*=") {
        return None;
    }
    let end = syntax.statement_end(assign)?;
    if operator == Operator::StaleOutput {
        return Some(Edit { span: syntax.span(at, end), with: String::new() });
    }
    let value = syntax.text(assign + 1, end);
    let factor = match (operator, &subject.number) {
        (Operator::Nan, Some(number)) => format!("bitcast<f32>({number} | 0x7fc00000u)"),
        (Operator::Nan, None) => format!("bitcast<f32>(bitcast<u32>({value}) | 0x7fc00000u)"),
        _ => "1.01".to_string(),
    };
    Some(Edit { span: syntax.span(assign + 1, end), with: format!("({value}) * {factor}") })
}

/// `p.x_stride` becomes the next stride of the parameter block.
fn other_stride(syntax: &Syntax, at: usize, subject: &Subject) -> Option<String> {
    if syntax.word(at.wrapping_sub(1)) != "." || syntax.word(at.wrapping_sub(2)) != "p" {
        return None;
    }
    let strides = &subject.strides;
    let own = strides.iter().position(|s| *s == syntax.word(at))?;
    (strides.len() > 1).then(|| strides[(own + 1) % strides.len()].clone())
}

fn literal(word: &str) -> String {
    let hex = word.starts_with("0x");
    let real = !hex && word.contains(['.', 'e', 'f']);
    match real {
        true if word.parse() == Ok(0.0) => "1.0".into(),
        true => format!("({word} * 1.01)"),
        false if word.ends_with('u') => format!("({word} + 1u)"),
        false => format!("({word} + 1)"),
    }
}
