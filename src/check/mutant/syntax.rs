//! As much of WGSL's syntax as mutation needs: tokens outside comments, brackets, loop headers, operands.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An identifier or keyword; a generic type with its arguments is one word.
    Word,
    /// A literal.
    Number,
    /// An operator or bracket.
    Mark,
}

/// A token and where it stands.
#[derive(Clone, Debug)]
struct Token {
    start: usize,
    end: usize,
    kind: TokenKind,
}

/// Which part of the code a token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside function bodies.
    Outside,
    /// In a function's body.
    Body,
    /// Between the brackets of a `for`: before its first semicolon, up to its second, behind that.
    Header(usize),
}

/// A shader's text as tokens. Indices are token numbers.
#[derive(Debug)]
pub(super) struct Syntax<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    partner: Vec<Option<usize>>,
    place: Vec<Place>,
}

const MARKS: [&str; 14] = ["->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=", "++"];
const GENERIC: [&str; 6] = ["vec2", "vec3", "vec4", "array", "bitcast", "var"];

impl<'a> Syntax<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let tokens = tokens(text);
        let mut syntax = Syntax { text, partner: vec![None; tokens.len()], place: Vec::new(), tokens };
        syntax.pair();
        syntax.place = vec![Place::Outside; syntax.len()];
        syntax.locate();
        syntax
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The token's text; empty beyond both ends.
    pub(super) fn word(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |t| &self.text[t.start..t.end])
    }

    pub(super) fn kind(&self, at: usize) -> TokenKind {
        self.tokens[at].kind
    }

    pub(super) fn place(&self, at: usize) -> Place {
        self.place[at]
    }

    /// The bracket that closes or opens what token `at` opens or closes.
    pub(super) fn partner(&self, at: usize) -> Option<usize> {
        self.partner[at]
    }

    /// Bytes from the first to the last of these tokens.
    pub(super) fn span(&self, first: usize, last: usize) -> (usize, usize) {
        (self.tokens[first].start, self.tokens[last].end)
    }

    pub(super) fn text(&self, first: usize, last: usize) -> &'a str {
        let (start, end) = self.span(first, last);
        &self.text[start..end]
    }

    /// True if token `at` is an operator with an operand on its left.
    pub(super) fn binary(&self, at: usize) -> bool {
        let before = at.wrapping_sub(1);
        let left = self.word(before);
        match self.tokens.get(before).map(|t| t.kind) {
            Some(TokenKind::Mark) => left == ")" || left == "]",
            Some(_) => left != "return",
            None => false,
        }
    }

    /// First token of the left and last token of the right operand of the binary operator `at`.
    pub(super) fn operands(&self, at: usize) -> Option<(usize, usize)> {
        let own = rank(self.word(at))?;
        let mut first = at;
        loop {
            let before = first.checked_sub(1)?;
            let word = self.word(before);
            let ends = if word == ")" || word == "]" {
                first = self.partner(before)?;
                continue;
            } else {
                self.kind(before) == TokenKind::Mark && word != "." && !(self.binary(before) && rank(word) >= Some(own))
            };
            if ends || word == "return" {
                break;
            }
            first = before;
        }
        let mut last = at;
        loop {
            let next = last + 1;
            let word = self.word(next);
            if word == "(" || word == "[" {
                last = self.partner(next)?;
                continue;
            }
            let unary = next == at + 1 && (word == "-" || word == "!");
            let ends = next >= self.len()
                || self.kind(next) == TokenKind::Mark && word != "." && !unary && rank(word) <= Some(own);
            if ends {
                break;
            }
            last = next;
        }
        (first < at && last > at).then_some((first, last))
    }

    /// The last token before the semicolon that ends the statement token `at` is in.
    pub(super) fn statement_end(&self, at: usize) -> Option<usize> {
        (at..self.len()).find(|i| self.word(*i) == ";").map(|i| i - 1)
    }

    /// True if a statement can begin at token `at`.
    pub(super) fn begins(&self, at: usize) -> bool {
        matches!(self.word(at.wrapping_sub(1)), ";" | "{" | "}")
    }

    /// The condition of the `if` at token `at`: its first and last token.
    pub(super) fn condition(&self, at: usize) -> Option<(usize, usize)> {
        let open = (at + 1..self.len()).find(|i| self.word(*i) == "{")?;
        (open > at + 1).then_some((at + 1, open - 1))
    }

    fn pair(&mut self) {
        let mut open = Vec::new();
        for at in 0..self.len() {
            match self.word(at) {
                "(" | "[" | "{" => open.push(at),
                ")" | "]" | "}" => {
                    if let Some(from) = open.pop() {
                        self.partner[at] = Some(from);
                        self.partner[from] = Some(at);
                    }
                }
                _ => {}
            }
        }
    }

    fn locate(&mut self) {
        for at in 0..self.len() {
            let (word, next) = (self.word(at), at + 1);
            if word == "fn" {
                let open = (at..self.len()).find(|i| self.word(*i) == "{");
                if let Some((from, to)) = open.and_then(|o| Some((o, self.partner[o]?))) {
                    self.place[from + 1..to].fill(Place::Body);
                }
            } else if let ("for", Some(Some(end))) = (word, self.partner.get(next).copied()) {
                let mut part = 0;
                for inside in next + 1..end {
                    self.place[inside] = Place::Header(part);
                    part += (self.word(inside) == ";") as usize;
                }
            }
        }
    }
}

/// Precedence of a binary operator: the higher binds tighter.
fn rank(word: &str) -> Option<u32> {
    match word {
        "*" | "/" | "%" => Some(4),
        "+" | "-" => Some(3),
        "<<" | ">>" => Some(2),
        "&" | "|" | "^" => Some(1),
        "<" | ">" | "<=" | ">=" | "==" | "!=" => Some(0),
        _ => None,
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut list = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let c = bytes[at];
        if rest.starts_with("//# ") {
            at += 4; // the other side of an `//#if`, commented out in the file but not in some variants
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if !c.is_ascii_graphic() {
            at += 1;
        } else {
            let (len, kind) = token(rest);
            list.push(Token { start: at, end: at + len, kind });
            at += len;
        }
    }
    list
}

fn token(rest: &str) -> (usize, TokenKind) {
    let word = |s: &str| s.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(s.len());
    let first = rest.as_bytes()[0];
    if first.is_ascii_digit() {
        return (number(rest), TokenKind::Number);
    }
    if first.is_ascii_alphabetic() || first == b'_' {
        let len = word(rest);
        let generic = GENERIC.contains(&&rest[..len]) && rest[len..].starts_with('<');
        return (if generic { len + angle(&rest[len..]) } else { len }, TokenKind::Word);
    }
    (MARKS.iter().find(|m| rest.starts_with(**m)).map_or(1, |m| m.len()), TokenKind::Mark)
}

/// Bytes of a literal: digits, letters, one point, a sign behind a decimal exponent.
fn number(rest: &str) -> usize {
    let hex = rest.starts_with("0x");
    let mut before = ' ';
    for (at, c) in rest.char_indices() {
        let exponent = !hex && matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        if !(c.is_ascii_alphanumeric() || c == '.' || exponent) {
            return at;
        }
        before = c;
    }
    rest.len()
}

/// Bytes of `<...>` with nested ones.
fn angle(rest: &str) -> usize {
    let mut depth = 0;
    for (at, c) in rest.char_indices() {
        depth += (c == '<') as i32 - (c == '>') as i32;
        if depth == 0 {
            return at + 1;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_places_and_operands() {
        let text = "const A = 1 - 2; // a - b\nfn f() {\n for (var i = 0u; i < n - 1u; i += 2u) {\n\
                    //# let q = bitcast<vec2<f32>>(a) - c * x[i - 1u].y - -1.5e-3;\n } }\n";
        let syntax = Syntax::new(text);
        let minus: Vec<usize> = (0..syntax.len()).filter(|i| syntax.word(*i) == "-" && syntax.binary(*i)).collect();
        let places: Vec<Place> = minus.iter().map(|i| syntax.place(*i)).collect();
        assert_eq!(places, [Place::Outside, Place::Header(1), Place::Body, Place::Body, Place::Body]);
        let sides = |at: usize| {
            let (first, last) = syntax.operands(at).unwrap();
            (syntax.text(first, at - 1), syntax.text(at + 1, last))
        };
        assert_eq!(sides(minus[2]), ("bitcast<vec2<f32>>(a)", "c * x[i - 1u].y"));
        assert_eq!(sides(minus[3]), ("i", "1u"));
        assert_eq!(sides(minus[4]), ("bitcast<vec2<f32>>(a) - c * x[i - 1u].y", "-1.5e-3"));
    }
}
