//! A key of an experiment as a row: path, type with its range, default, unit, meaning. `config` collects the rows; aggregation rules
//! and attacks declare those of their options in their own files.

use toml::{Table, Value};

/// Largest whole number of a key that is stored in 32 bits.
pub const U32: i64 = u32::MAX as i64;

/// One key of an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted path.
    pub path: &'static str,
    /// Type and range.
    pub kind: ValueKind,
    /// What holds where the key is absent.
    pub default: DefaultValue,
    /// Unit of the value; empty where it has none.
    pub unit: &'static str,
    /// Meaning, without type, range and default: the documentation adds them.
    pub doc: &'static str,
    /// The tags with which alone the key may be given; `None`: with all.
    pub of: Option<Tags>,
    /// The key that must not be given beside this one.
    pub excludes: Option<&'static str>,
    /// A former path of the key, which is still accepted.
    pub was: Option<&'static str>,
    /// Whether the key decides which others its table has, such as `detection.kind`.
    pub is_tag: bool,
}

/// Values of a tag, a key such as `detection.kind` that decides which other keys its table has.
#[derive(Clone, Copy, Debug)]
pub struct Tags {
    /// Path of the tag.
    pub tag: &'static str,
    /// Its values.
    pub names: &'static [&'static str],
}

/// What holds where a key is absent.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    /// This whole number.
    Int(i64),
    /// This number.
    Real(f64),
    /// This number where the key at the path has the value; elsewhere the key stays absent.
    RealWith(f64, &'static str, &'static str),
    /// `false`.
    Off,
    /// This string.
    Text(&'static str),
    /// The empty list.
    Empty,
    /// What these words say: it follows from other keys or from the machine.
    Computed(&'static str),
    /// Nothing: the key must be given.
    Required,
}

/// Type and range of a key.
#[derive(Clone, Copy, Debug)]
pub enum ValueKind {
    /// A whole number from the first to the second.
    Int(i64, i64),
    /// One of these whole numbers.
    OneOf(&'static [i64]),
    /// A number between two bounds, in f32 too, which is what devices compute with.
    Real(Bound, Bound),
    /// `true` or `false`.
    Flag,
    /// A string for which the function holds; in words.
    Text(&'static str, fn(&str) -> bool),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A list of some of these strings.
    Choices(&'static [&'static str]),
    /// A whole number, the name of a client, or a list of ids and names.
    Clients,
    /// `"auto"` or a list of two ascending numbers.
    Window,
    /// A list of two ascending numbers.
    Range,
    /// A list of one number or three, above the bound.
    Channels(Bound),
}

/// One end of a range of numbers.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// No end.
    Free,
    /// The end itself is outside.
    Open(f64),
    /// The end itself is inside.
    Closed(f64),
}

impl Key {
    /// A key without unit, tag, exclusion and former path.
    pub const fn new(path: &'static str, kind: ValueKind, default: DefaultValue, doc: &'static str) -> Key {
        Key { path, kind, default, unit: "", doc, of: None, excludes: None, was: None, is_tag: false }
    }

    /// The tag of its table.
    pub const fn tag(self) -> Key {
        Key { is_tag: true, ..self }
    }

    /// With a unit.
    pub const fn unit(self, unit: &'static str) -> Key {
        Key { unit, ..self }
    }

    /// Only where `tag` has one of these values.
    pub const fn of(self, tag: &'static str, names: &'static [&'static str]) -> Key {
        Key { of: Some(Tags { tag, names }), ..self }
    }

    /// Never beside `other`.
    pub const fn excludes(self, other: &'static str) -> Key {
        Key { excludes: Some(other), ..self }
    }

    /// Formerly at `old`, which loads with a note.
    pub const fn was(self, old: &'static str) -> Key {
        Key { was: Some(old), ..self }
    }

    /// The name of the key in its table.
    pub fn name(&self) -> &'static str {
        last(self.path)
    }

    /// What a message says of a key that is missing.
    pub fn missing(&self) -> String {
        format!("{}: is missing, must be {} ({})", self.path, self.kind.allowed(), self.doc)
    }

    /// True where a table whose tag is `tag` may have the key.
    pub fn fits(&self, tag: Option<&str>) -> bool {
        self.of.is_none_or(|of| tag.is_some_and(|tag| of.names.contains(&tag)))
    }
}

/// The last part of a dotted path.
pub(crate) fn last(path: &'static str) -> &'static str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The value at a dotted path.
pub fn lookup<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        Some((head, rest)) => lookup(table.get(head)?.as_table()?, rest),
        None => table.get(path),
    }
}

impl DefaultValue {
    /// The value that an absent key takes in `tree`; `None` where it stays absent.
    pub fn value(self, tree: &Table) -> Option<Value> {
        Some(match self {
            DefaultValue::Int(value) => Value::Integer(value),
            DefaultValue::Real(value) => Value::Float(value),
            DefaultValue::RealWith(value, key, is) => {
                (lookup(tree, key)?.as_str()? == is).then_some(Value::Float(value))?
            }
            DefaultValue::Off => Value::Boolean(false),
            DefaultValue::Text(text) => Value::String(text.into()),
            DefaultValue::Empty => Value::Array(Vec::new()),
            DefaultValue::Computed(_) | DefaultValue::Required => return None,
        })
    }

    /// For the documentation.
    pub fn markdown(self) -> String {
        match self {
            DefaultValue::Computed(words) => words.into(),
            DefaultValue::Required => "required".into(),
            DefaultValue::Real(value) => format!("`{value:?}`"),
            DefaultValue::RealWith(value, key, is) => format!("`{value:?}` with `{key} = \"{is}\"`"),
            value => value.value(&Table::new()).map_or(String::new(), |value| format!("`{value}`")),
        }
    }
}

impl Bound {
    fn admits(self, value: f64, beyond: fn(f64, f64) -> bool) -> bool {
        match self {
            Bound::Free => !value.is_nan(),
            Bound::Open(end) => beyond(value, end),
            Bound::Closed(end) => value == end || beyond(value, end),
        }
    }
}

impl ValueKind {
    /// True for a value of the type, whatever its range: one that the configuration can hold.
    pub fn has_type(self, value: &Value) -> bool {
        match self {
            ValueKind::Int(_, most) => value.as_integer().is_some_and(|i| (0..=most.max(U32)).contains(&i)),
            ValueKind::OneOf(_) => value.as_integer().is_some_and(|i| (0..=U32).contains(&i)),
            ValueKind::Real(..) => number(value).is_some(),
            ValueKind::Flag => value.is_bool(),
            ValueKind::Text(..) => value.is_str(),
            ValueKind::Choice(names) => value.as_str().is_some_and(|s| names.contains(&s)),
            ValueKind::Choices(names) => all(value, |v| v.as_str().is_some_and(|s| names.contains(&s))),
            ValueKind::Clients => client(value) || all(value, client),
            ValueKind::Window => value.as_str() == Some("auto") || pair(value).is_some(),
            ValueKind::Range => pair(value).is_some(),
            ValueKind::Channels(_) => numbers(value).is_some(),
        }
    }

    /// True for a value of the type within the range; of a number before f32 rounds it.
    fn holds(self, value: &Value) -> bool {
        self.has_type(value)
            && match (self, value) {
                (ValueKind::Int(least, most), Value::Integer(value)) => (least..=most).contains(value),
                (ValueKind::OneOf(values), Value::Integer(value)) => values.contains(value),
                (ValueKind::Real(..), value) => number(value).is_some_and(|v| self.admits(v)),
                (ValueKind::Text(_, holds), Value::String(text)) => holds(text),
                (ValueKind::Window | ValueKind::Range, value) => {
                    pair(value).is_none_or(|[low, high]| low.is_finite() && high.is_finite() && low < high)
                }
                (ValueKind::Channels(low), value) => numbers(value).is_some_and(|all| {
                    let holds = |v: &f64| v.is_finite() && low.admits(*v, |v, end| v > end);
                    matches!(all.len(), 1 | 3) && all.iter().all(holds)
                }),
                _ => true,
            }
    }

    fn admits(self, value: f64) -> bool {
        let ValueKind::Real(low, high) = self else { return false };
        low.admits(value, |v, end| v > end) && high.admits(value, |v, end| v < end)
    }

    /// Checks type and range.
    ///
    /// # Errors
    /// What is allowed, in words.
    pub fn check(self, value: &Value) -> Result<(), String> {
        if !self.holds(value) {
            return Err(self.allowed());
        }
        let ValueKind::Real(..) = self else { return Ok(()) };
        let value = number(value).unwrap_or(f64::NAN);
        // Devices compute in f32: no infinity, and nothing but 0 that f32 has no normal number for.
        let narrow = value as f32;
        match (narrow.is_normal() || value == 0.0) && self.admits(f64::from(narrow)) {
            true => Ok(()),
            false => Err(format!("{}, and a number that f32 holds", self.allowed())),
        }
    }

    /// The type and the range in words, for messages and the documentation.
    pub fn allowed(self) -> String {
        match self {
            ValueKind::Int(least, most) => format!("a whole number from {least} to {most}"),
            ValueKind::OneOf(values) => {
                let words: Vec<String> = values.iter().map(i64::to_string).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                    _ => words.concat(),
                }
            }
            ValueKind::Real(low, high) => interval(low, high),
            ValueKind::Flag => "true or false".into(),
            ValueKind::Text(words, _) => words.into(),
            ValueKind::Choice(names) => format!("one of \"{}\"", names.join("\", \"")),
            ValueKind::Choices(names) => format!("a list of some of \"{}\"", names.join("\", \"")),
            ValueKind::Clients => "a whole number, a name, or a list of them".into(),
            ValueKind::Window => "\"auto\" or a list of two numbers [low, high], both finite, low below high".into(),
            ValueKind::Range => "a list of two numbers [low, high], both finite, low below high".into(),
            ValueKind::Channels(Bound::Open(end)) => format!("a list of 1 or 3 finite numbers above {end}"),
            ValueKind::Channels(_) => "a list of 1 or 3 finite numbers".into(),
        }
    }
}

fn interval(low: Bound, high: Bound) -> String {
    let left = match low {
        Bound::Free => "(-inf".into(),
        Bound::Open(end) => format!("({end}"),
        Bound::Closed(end) => format!("[{end}"),
    };
    match (high, low) {
        (Bound::Open(end), _) => format!("a number in {left}, {end})"),
        (Bound::Closed(end), _) => format!("a number in {left}, {end}]"),
        (Bound::Free, Bound::Open(end)) => format!("a number above {end}"),
        (Bound::Free, Bound::Closed(end)) => format!("a number, at least {end}"),
        (Bound::Free, Bound::Free) => "a number".into(),
    }
}

fn all(value: &Value, holds: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(holds))
}

fn client(value: &Value) -> bool {
    value.is_str() || value.as_integer().is_some_and(|i| (0..=U32).contains(&i))
}

pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|i| i as f64))
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(number).collect()
}

fn pair(value: &Value) -> Option<[f64; 2]> {
    numbers(value)?.try_into().ok()
}
