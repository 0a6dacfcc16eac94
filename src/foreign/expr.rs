//! Arithmetic on sizes and constants: `ceil(n / TILE)`, `2 * m * n * k`.

use std::collections::BTreeMap;
use std::fmt;

/// Longest text of an expression, in bytes.
const MOST_BYTES: usize = 500;
/// Deepest nesting of brackets and signs.
const MOST_DEPTH: usize = 32;
/// Largest integer up to which every one has its own f64.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The names that an expression may use, with their values.
pub type Names = BTreeMap<String, f64>;

/// A number, or an expression as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    text: String,
    tree: Tree,
}

#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Number(f64),
    Name(String),
    Negative(Box<Tree>),
    Binary(char, Box<Tree>, Box<Tree>),
    Call(Function, Vec<Tree>),
}

/// A function of one or of two arguments.
#[derive(Clone, Copy, Debug)]
enum Function {
    One(&'static str, fn(f64) -> f64),
    Two(&'static str, fn(f64, f64) -> f64),
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

const FUNCTIONS: [Function; 11] = [
    Function::One("ceil", f64::ceil),
    Function::One("floor", f64::floor),
    Function::One("round", f64::round),
    Function::One("abs", f64::abs),
    Function::One("sqrt", f64::sqrt),
    Function::One("exp", f64::exp),
    Function::One("log", f64::ln),
    Function::One("log2", f64::log2),
    Function::Two("min", f64::min),
    Function::Two("max", f64::max),
    Function::Two("pow", f64::powf),
];

/// The names of the functions.
pub const FUNCTION_NAMES: [&str; 11] =
    ["ceil", "floor", "round", "abs", "sqrt", "exp", "log", "log2", "min", "max", "pow"];

impl Function {
    fn name(self) -> &'static str {
        match self {
            Function::One(name, _) | Function::Two(name, _) => name,
        }
    }

    fn arguments(self) -> usize {
        match self {
            Function::One(..) => 1,
            Function::Two(..) => 2,
        }
    }
}

impl Expr {
    /// A constant.
    pub fn number(value: f64) -> Expr {
        Expr { text: value.to_string(), tree: Tree::Number(value) }
    }

    /// Reads `text`: numbers, names, `+ - * / %`, brackets and the functions ceil, floor, round, abs, sqrt, exp, log, log2,
    /// min, max, pow.
    ///
    /// # Errors
    /// What is wrong, with the text.
    pub fn parse(text: &str) -> Result<Expr, String> {
        if text.len() > MOST_BYTES {
            return Err(format!("an expression of {} bytes, at most {MOST_BYTES} are allowed", text.len()));
        }
        let mut parser = Parser { rest: text, depth: 0 };
        let tree = parser.sum().and_then(|tree| match parser.peek() {
            None => Ok(tree),
            Some(c) => Err(format!("unexpected `{c}`")),
        });
        tree.map(|tree| Expr { text: text.to_string(), tree }).map_err(|what| format!("`{text}`: {what}"))
    }

    /// The value.
    ///
    /// # Errors
    /// An unknown name, or a value that is not finite.
    pub fn value(&self, names: &Names) -> Result<f64, String> {
        let value = eval(&self.tree, names).map_err(|what| format!("`{self}`: {what}"))?;
        if value.is_finite() { Ok(value) } else { Err(format!("`{self}` is {value}")) }
    }

    /// The value as a whole number within `least..=most`.
    ///
    /// # Errors
    /// As [`Expr::value`]; another value, with the range.
    pub fn whole(&self, names: &Names, least: u64, most: u64) -> Result<u64, String> {
        let value = self.value(names)?;
        match value.fract() == 0.0 && value >= least as f64 && value <= (most as f64).min(EXACT) {
            true => Ok(value as u64),
            false => Err(format!("`{self}` is {value}, expected a whole number from {least} to {most}")),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn eval(tree: &Tree, names: &Names) -> Result<f64, String> {
    Ok(match tree {
        Tree::Number(value) => *value,
        Tree::Name(name) => *names.get(name).ok_or_else(|| {
            let known: Vec<&str> = names.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            format!("`{name}` is neither a size nor a constant; there are: {known}")
        })?,
        Tree::Negative(of) => -eval(of, names)?,
        Tree::Binary(sign, left, right) => {
            let (a, b) = (eval(left, names)?, eval(right, names)?);
            match sign {
                '+' => a + b,
                '-' => a - b,
                '*' => a * b,
                '/' if b == 0.0 => return Err("division by 0".into()),
                '%' if b == 0.0 => return Err("remainder of a division by 0".into()),
                '/' => a / b,
                _ => a % b,
            }
        }
        Tree::Call(Function::One(_, f), of) => f(eval(&of[0], names)?),
        Tree::Call(Function::Two(_, f), of) => f(eval(&of[0], names)?, eval(&of[1], names)?),
    })
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let c = self.peek().filter(|c| wanted.contains(c))?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        match self.take(&[wanted]) {
            Some(_) => Ok(()),
            None => Err(format!("expected `{wanted}`, found {}", self.found())),
        }
    }

    fn found(&mut self) -> String {
        self.peek().map_or("the end".into(), |c| format!("`{c}`"))
    }

    fn sum(&mut self) -> Result<Tree, String> {
        self.chain(&['+', '-'], Parser::product)
    }

    fn product(&mut self) -> Result<Tree, String> {
        self.chain(&['*', '/', '%'], Parser::signed)
    }

    fn chain(&mut self, signs: &[char], of: fn(&mut Self) -> Result<Tree, String>) -> Result<Tree, String> {
        let mut tree = of(self)?;
        while let Some(sign) = self.take(signs) {
            tree = Tree::Binary(sign, Box::new(tree), Box::new(of(self)?));
        }
        Ok(tree)
    }

    fn signed(&mut self) -> Result<Tree, String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(format!("nested more than {MOST_DEPTH} deep"));
        }
        let tree = match self.take(&['-']) {
            Some(_) => Tree::Negative(Box::new(self.signed()?)),
            None => self.primary()?,
        };
        self.depth -= 1;
        Ok(tree)
    }

    fn primary(&mut self) -> Result<Tree, String> {
        match self.peek() {
            Some('(') => {
                self.expect('(')?;
                let tree = self.sum()?;
                self.expect(')')?;
                Ok(tree)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.named(),
            _ => Err(format!("expected a number, a name or `(`, found {}", self.found())),
        }
    }

    /// The longest prefix of characters for which `of` holds.
    fn word(&mut self, of: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !of(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn number(&mut self) -> Result<Tree, String> {
        let start = self.rest;
        let mut word = self.word(|c| c.is_ascii_digit() || c == '.' || c == '_');
        if let Some(exponent) = self.rest.strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let digits = exponent[sign..].find(|c: char| !c.is_ascii_digit()).unwrap_or(exponent.len() - sign);
            if digits > 0 {
                word = &start[..word.len() + 1 + sign + digits];
                self.rest = &start[word.len()..];
            }
        }
        word.replace('_', "").parse().map(Tree::Number).map_err(|_| format!("`{word}` is not a number"))
    }

    fn named(&mut self) -> Result<Tree, String> {
        let name = self.word(|c| c.is_alphanumeric() || c == '_');
        if self.peek() != Some('(') {
            return Ok(Tree::Name(name.to_string()));
        }
        let Some(function) = FUNCTIONS.into_iter().find(|f| f.name() == name) else {
            return Err(format!("no function `{name}`; there are: {}", FUNCTION_NAMES.join(", ")));
        };
        self.expect('(')?;
        let mut arguments = vec![self.sum()?];
        while self.take(&[',']).is_some() {
            arguments.push(self.sum()?);
        }
        self.expect(')')?;
        match arguments.len() == function.arguments() {
            true => Ok(Tree::Call(function, arguments)),
            false => Err(format!("`{name}` has {} arguments, expected {}", arguments.len(), function.arguments())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        [("n", 33.0), ("TILE", 16.0), ("k_max", 7.0)].map(|(name, v)| (name.to_string(), v)).into()
    }

    #[test]
    fn every_function_has_its_name() {
        assert_eq!(FUNCTIONS.map(Function::name), FUNCTION_NAMES);
    }

    #[test]
    fn precedence_and_functions_are_as_in_mathematics() {
        for (text, value) in [
            ("2 + 3 * 4 - 1", 13.0),
            ("(2 + 3) * 4", 20.0),
            ("7 - 2 - 1", 4.0),
            ("64 / 4 / 2", 8.0),
            ("ceil(n / TILE)", 3.0),
            ("floor( n/TILE )", 2.0),
            ("n % TILE", 1.0),
            ("-n + max(1, k_max) * --2", -19.0),
            ("pow(2, 10) + sqrt(16)", 1028.0),
            ("1.5e3 + 2E-1 + 1_000", 2500.2),
            ("log2(8) * round(2.4) * abs(-1)", 6.0),
        ] {
            let got = Expr::parse(text).unwrap().value(&names()).unwrap();
            assert!((got - value).abs() < 1e-12, "{text}: {got}");
        }
    }

    #[test]
    fn refusals_say_what_and_where() {
        for (text, needle) in [
            ("", "expected a number, a name or `(`, found the end"),
            ("2 +", "found the end"),
            ("(2", "expected `)`, found the end"),
            ("2 3", "unexpected `3`"),
            ("foo(2)", "no function `foo`; there are: ceil"),
            ("min(2)", "`min` has 1 arguments, expected 2"),
            ("1..2", "`1..2` is not a number"),
            ("n $ 2", "unexpected `$`"),
            ("2 * é(", "no function `é`"),
        ] {
            let what = Expr::parse(text).unwrap_err();
            assert!(what.contains(needle) && what.starts_with(&format!("`{text}`: ")), "{text}: {what}");
        }
        assert!(Expr::parse(&"(".repeat(400)).unwrap_err().contains("32 deep"));
        assert!(Expr::parse(&"-".repeat(400)).unwrap_err().contains("32 deep"));
        assert!(Expr::parse(&"1+".repeat(400)).unwrap_err().contains("at most 500"));
        let value = |text: &str| Expr::parse(text).unwrap().value(&names()).unwrap_err();
        assert!(value("m").contains("`m` is neither a size nor a constant; there are: TILE, k_max, n"));
        assert!(value("1 / (n - 33)").contains("division by 0"));
        assert!(value("exp(1000)").contains("inf"));
        let whole = |text: &str| Expr::parse(text).unwrap().whole(&names(), 1, 100).unwrap_err();
        for text in ["n / TILE", "n - 33", "n * 10", "-n"] {
            assert!(whole(text).contains("expected a whole number from 1 to 100"), "{}", whole(text));
        }
        assert_eq!(Expr::number(3.0).whole(&names(), 0, 3), Ok(3));
    }
}
