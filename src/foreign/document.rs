//! A TOML file whose errors name file, line and key.

use super::expr::Expr;
use crate::config::text;
use crate::{Error, Result, input};
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// A parsed file.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    text: String,
    root: Value,
}

/// A value of the file with the keys that lead to it; an index of a list is a key as well.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    document: &'a Document,
    keys: Vec<String>,
    pub(super) value: &'a Value,
}

impl Document {
    pub(super) fn read(path: &Path) -> Result<Document> {
        let text =
            input::read_text(path, input::CONFIG).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        Document::parse(path, text)
    }

    pub(super) fn parse(path: &Path, text: String) -> Result<Document> {
        let table: Table = text::table(&text).map_err(|what| syntax(path, &text, &what))?;
        Ok(Document { path: path.to_path_buf(), text, root: Value::Table(table) })
    }

    pub(super) fn root(&self) -> Node<'_> {
        Node { document: self, keys: Vec::new(), value: &self.root }
    }

    /// The folder to which the paths in the file are relative.
    pub(super) fn folder(&self) -> PathBuf {
        self.path.parent().map(Path::to_path_buf).unwrap_or_default()
    }

    /// The line, from 1, of the deepest of `keys` that the file has.
    fn line(&self, keys: &[String]) -> usize {
        let Ok(root) = DeTable::parse(&self.text) else { return 1 };
        let at = |span: std::ops::Range<usize>| 1 + self.text[..span.start.min(self.text.len())].matches('\n').count();
        let mut line = 1;
        let mut here: Option<&Spanned<DeValue>> = None;
        for (depth, key) in keys.iter().enumerate() {
            let (name, next) = match (depth, here.map(|v| v.get_ref())) {
                (0, _) => match root.get_ref().get_key_value(key.as_str()) {
                    Some((name, value)) => (name.span(), value),
                    None => break,
                },
                (_, Some(DeValue::Table(table))) => match table.get_key_value(key.as_str()) {
                    Some((name, value)) => (name.span(), value),
                    None => break,
                },
                (_, Some(DeValue::Array(list))) => match key.parse().ok().and_then(|i: usize| list.get(i)) {
                    Some(value) => (value.span(), value),
                    None => break,
                },
                _ => break,
            };
            line = at(name);
            here = Some(next);
        }
        line
    }
}

/// A text that is not TOML: `FILE:LINE:COLUMN: WHAT`. `what` says it if it is something else, such as too deep a nesting.
fn syntax(path: &Path, text: &str, what: &str) -> Error {
    let error = if what.starts_with("TOML parse error") { DeTable::parse(text).err() } else { None };
    let Some((error, span)) = error.and_then(|e| e.span().map(|span| (e, span))) else {
        return Error::file(path, what);
    };
    let before = text.get(..span.start).unwrap_or(text);
    let (line, start) = (1 + before.matches('\n').count(), before.rfind('\n').map_or(0, |i| i + 1));
    let column = 1 + before[start..].chars().count();
    Error::input(format!("{}:{line}:{column}: not TOML: {}", path.display(), error.message()))
}

/// A value's type for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

impl<'a> Node<'a> {
    /// `FILE:LINE: KEY: WHAT`.
    pub(super) fn fail(&self, what: impl std::fmt::Display) -> Error {
        let Document { path, .. } = self.document;
        let line = self.document.line(&self.keys);
        let key = match self.keys.is_empty() {
            true => String::new(),
            false => format!("`{}`: ", self.name()),
        };
        Error::input(format!("{}:{line}: {key}{what}", path.display()))
    }

    /// The dotted key.
    pub(super) fn name(&self) -> String {
        self.keys.join(".")
    }

    /// The last key.
    pub(super) fn key(&self) -> &str {
        self.keys.last().map_or("", String::as_str)
    }

    fn child(&self, key: impl Into<String>, value: &'a Value) -> Node<'a> {
        let mut keys = self.keys.clone();
        keys.push(key.into());
        Node { document: self.document, keys, value }
    }

    fn expected(&self, what: &str) -> Error {
        self.fail(format!("expected {what}, found {}", kind(self.value)))
    }

    /// The entry `key` of a table.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        Some(self.child(key, self.value.as_table()?.get(key)?))
    }

    /// All entries of a table.
    pub(super) fn entries(&self) -> Result<Vec<Node<'a>>> {
        let table = self.value.as_table().ok_or_else(|| self.expected("a table"))?;
        Ok(table.iter().map(|(key, value)| self.child(key, value)).collect())
    }

    /// Refuses entries of a table other than `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        for entry in self.entries()? {
            if !known.contains(&entry.key()) {
                let near = |k: &&&str| strsim::normalized_damerau_levenshtein(entry.key(), k);
                let best = known.iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|k| near(k) > 0.6);
                let hint = best.map_or(String::new(), |k| format!(", did you mean `{k}`?"));
                return Err(entry.fail(format!("no such key{hint} (there are: {})", known.join(", "))));
            }
        }
        Ok(())
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<Vec<Node<'a>>> {
        let list = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        Ok(list.iter().enumerate().map(|(i, value)| self.child(i.to_string(), value)).collect())
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A number, also NaN or an infinity.
    pub(super) fn real(&self) -> Result<f64> {
        match self.value {
            Value::Integer(i) => Ok(*i as f64),
            Value::Float(f) => Ok(*f),
            _ => Err(self.expected("a number")),
        }
    }

    /// A finite number.
    pub(super) fn number(&self) -> Result<f64> {
        let value = self.real()?;
        if value.is_finite() { Ok(value) } else { Err(self.fail(format!("{value} is not finite"))) }
    }

    /// A whole number within a range.
    pub(super) fn whole(&self, least: i64, most: i64) -> Result<i64> {
        match self.value {
            Value::Integer(i) if (least..=most).contains(i) => Ok(*i),
            Value::Integer(i) => Err(self.fail(format!("{i}, expected a whole number from {least} to {most}"))),
            _ => Err(self.expected("a whole number")),
        }
    }

    /// A number, a boolean (1 or 0), or a string with an expression.
    pub(super) fn expr(&self) -> Result<Expr> {
        match self.value {
            Value::String(text) => Expr::parse(text).map_err(|what| self.fail(what)),
            Value::Boolean(flag) => Ok(Expr::number(f64::from(u8::from(*flag)))),
            Value::Integer(_) | Value::Float(_) => self.number().map(Expr::number),
            _ => Err(self.expected("a number or an expression")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_line_and_key() {
        let text = "a = 1\n[b.c]\nd = [1,\n  \"x\"]\n[[e]]\nf = 2\n[[e]]\nf = true\n";
        let document = Document::parse(Path::new("k.toml"), text.into()).unwrap();
        let root = document.root();
        let shown = |node: Node, what: &str| node.fail(what).to_string();
        assert_eq!(shown(root.get("a").unwrap(), "no"), "k.toml:1: `a`: no");
        let d = root.get("b").unwrap().get("c").unwrap().get("d").unwrap();
        assert_eq!(shown(d.clone(), "no"), "k.toml:3: `b.c.d`: no");
        assert_eq!(
            d.list().unwrap()[1].number().unwrap_err().to_string(),
            "k.toml:4: `b.c.d.1`: expected a number, found a string"
        );
        let e = root.get("e").unwrap().list().unwrap();
        let what = e[1].get("f").unwrap().whole(0, 3).unwrap_err().to_string();
        assert_eq!(what, "k.toml:8: `e.1.f`: expected a whole number, found a boolean");
        let what = root.only(&["a", "bb", "e"]).unwrap_err().to_string();
        assert_eq!(what, "k.toml:2: `b`: no such key (there are: a, bb, e)");
        assert_eq!(e[0].get("f").unwrap().expr().unwrap(), Expr::number(2.0));
        let syntax = Document::parse(Path::new("k.toml"), "a = \n".into()).unwrap_err().to_string();
        assert!(syntax.starts_with("k.toml:1:5: not TOML: "), "{syntax}");
    }
}
