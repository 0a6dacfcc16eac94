//! A first look at an ONNX file, before the library parses it: what the network takes and gives. Files that the library
//! would follow down its stack (graphs inside operators, sequences of sequences, long chains), and files that name others,
//! are refused. ONNX is protobuf; nothing is copied but names and shapes.

/// Most operators: the library follows a chain of them on the stack, of which the thread of [`super::apart`] has enough.
const MOST_OPERATORS: usize = 10_000;
/// Most inputs, and most outputs.
const MOST_ENDS: usize = 1000;
/// Most dimensions of an input or output.
const MOST_SIDES: usize = 16;

/// Element types of ONNX by number.
const TYPES: [&str; 17] = [
    "undefined",
    "float32",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "float64",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
];
/// The number of float32.
const FLOAT: u64 = 1;

/// An input or output of the graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct End {
    pub name: String,
    /// Element type by number; 0: not stated.
    kind: u64,
    /// Sizes; `None` for one that the file leaves open. Absent: no shape is stated.
    pub shape: Option<Vec<Option<u64>>>,
}

impl End {
    /// Whether the elements are float32, or not stated.
    pub fn is_float(&self) -> bool {
        [0, FLOAT].contains(&self.kind)
    }

    /// The element type's name.
    pub fn kind(&self) -> String {
        TYPES.get(self.kind as usize).map_or(format!("unknown ({})", self.kind), |name| (*name).into())
    }

    /// The shape for a message; `?` for a size left open.
    pub fn sides(&self) -> String {
        let side = |side: &Option<u64>| side.map_or("?".into(), |n| n.to_string());
        let sides = |shape: &Vec<Option<u64>>| shape.iter().map(side).collect::<Vec<_>>().join(", ");
        self.shape.as_ref().map_or("of no stated shape".into(), |shape| format!("[{}]", sides(shape)))
    }
}

/// What the network takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ends {
    /// Inputs without a stored value.
    pub inputs: Vec<End>,
    pub outputs: Vec<End>,
}

/// A field's value.
enum Item<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// 32 or 64 bits.
    Fixed,
}

/// The fields of a message.
struct Fields<'a>(&'a [u8]);

const BROKEN: &str = "not an ONNX file, or cut short";

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(BROKEN)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && *byte > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BROKEN.into())
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        let n = usize::try_from(n).map_err(|_| BROKEN)?;
        let (head, rest) = self.0.split_at_checked(n).ok_or(BROKEN)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next field with its number; `None` at the end.
    fn next(&mut self) -> Result<Option<(u64, Item<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let item = match key & 7 {
            0 => Item::Number(self.varint()?),
            1 => self.take(8).map(|_| Item::Fixed)?,
            2 => {
                let n = self.varint()?;
                Item::Bytes(self.take(n)?)
            }
            5 => self.take(4).map(|_| Item::Fixed)?,
            _ => return Err(BROKEN.into()),
        };
        match key >> 3 {
            0 => Err(BROKEN.into()),
            field => Ok(Some((field, item))),
        }
    }

    /// Calls `visit` with every field.
    fn each(mut self, mut visit: impl FnMut(u64, Item<'a>) -> Result<(), String>) -> Result<(), String> {
        while let Some((field, item)) = self.next()? {
            visit(field, item)?;
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| BROKEN.into())
}

/// The inputs and outputs of a file (`ModelProto`).
///
/// # Errors
/// What is wrong with it, without its name.
pub(super) fn scan(bytes: &[u8]) -> Result<Ends, String> {
    let mut graphs = Vec::new();
    Fields(bytes).each(|field, item| {
        match (field, item) {
            (7, Item::Bytes(graph)) => graphs.push(graph),
            (7, _) => return Err(BROKEN.into()),
            _ => {}
        }
        Ok(())
    })?;
    match graphs[..] {
        [one] => graph(one),
        [] => Err(BROKEN.into()),
        _ => Err("more than one graph".into()),
    }
}

/// `GraphProto`.
fn graph(bytes: &[u8]) -> Result<Ends, String> {
    let (mut ends, mut stored, mut operators) = (Ends::default(), Vec::new(), 0);
    Fields(bytes).each(|field, item| {
        match (field, item) {
            (1, Item::Bytes(bytes)) => {
                operators += 1;
                operator(bytes)?;
            }
            (5, Item::Bytes(bytes)) => stored.push(tensor(bytes)?),
            (11, Item::Bytes(bytes)) => ends.inputs.push(end(bytes)?),
            (12, Item::Bytes(bytes)) => ends.outputs.push(end(bytes)?),
            (13, Item::Bytes(bytes)) => drop(end(bytes)?),
            (15, _) => return Err("sparse weights, which are not read".into()),
            (1 | 5 | 11..=13, _) => return Err(BROKEN.into()),
            _ => {}
        }
        match ends.inputs.len().max(ends.outputs.len()) > MOST_ENDS {
            true => Err(format!("more than {MOST_ENDS} inputs or outputs")),
            false => Ok(()),
        }
    })?;
    if operators > MOST_OPERATORS {
        return Err(format!("{operators} operators; at most {MOST_OPERATORS} are read"));
    }
    // Files of early versions list their weights among the inputs.
    ends.inputs.retain(|input| !stored.contains(&input.name));
    Ok(ends)
}

/// `NodeProto`: refused with a graph inside.
fn operator(bytes: &[u8]) -> Result<(), String> {
    let (mut kind, mut graph) = (String::new(), false);
    Fields(bytes).each(|field, item| {
        match (field, item) {
            (4, Item::Bytes(name)) => kind = text(name)?,
            (5, Item::Bytes(attribute)) => Fields(attribute).each(|field, item| {
                match (field, item) {
                    (5 | 10, Item::Bytes(value)) => drop(tensor(value)?),
                    (6 | 11, _) => graph = true,
                    _ => {}
                }
                Ok(())
            })?,
            (4 | 5, _) => return Err(BROKEN.into()),
            _ => {}
        }
        Ok(())
    })?;
    let name = crate::input::shorten(&kind, 100);
    if graph {
        Err(format!("operator {name}: has a graph of its own (a branch or a loop), which is not read"))
    } else {
        Ok(())
    }
}

/// `TensorProto`: its name. Refused with values in another file.
fn tensor(bytes: &[u8]) -> Result<String, String> {
    let (mut name, mut outside) = (String::new(), false);
    Fields(bytes).each(|field, item| {
        match (field, item) {
            (8, Item::Bytes(value)) => name = text(value)?,
            (13, _) | (14, Item::Number(1..)) => outside = true,
            _ => {}
        }
        Ok(())
    })?;
    let shown = crate::input::shorten(&name, 100);
    let how = "torch.onnx.export(..., external_data=False) writes one file";
    if outside { Err(format!("tensor {shown:?}: its values are in another file; {how}")) } else { Ok(name) }
}

/// `ValueInfoProto`.
fn end(bytes: &[u8]) -> Result<End, String> {
    let mut end = End::default();
    let mut kinds = Vec::new();
    Fields(bytes).each(|field, item| {
        match (field, item) {
            (1, Item::Bytes(name)) => end.name = text(name)?,
            (2, Item::Bytes(kind)) => kinds.push(kind),
            (1 | 2, _) => return Err(BROKEN.into()),
            _ => {}
        }
        Ok(())
    })?;
    let name = crate::input::shorten(&end.name, 100);
    for kind in kinds {
        Fields(kind).each(|field, item| match (field, item) {
            (1, Item::Bytes(of)) => tensor_type(of, &mut end),
            // A name for the meaning of the type.
            (6, Item::Bytes(_)) => Ok(()),
            _ => Err(format!("{name:?} is no tensor")),
        })?;
    }
    Ok(end)
}

/// `TypeProto.Tensor`.
fn tensor_type(bytes: &[u8], end: &mut End) -> Result<(), String> {
    Fields(bytes).each(|field, item| {
        match (field, item) {
            (1, Item::Number(kind)) => end.kind = kind,
            (2, Item::Bytes(shape)) => {
                let mut sides = Vec::new();
                Fields(shape).each(|field, item| {
                    if let (1, Item::Bytes(side)) = (field, item) {
                        sides.push(dimension(side)?);
                    }
                    match sides.len() > MOST_SIDES {
                        true => Err(format!("more than {MOST_SIDES} dimensions")),
                        false => Ok(()),
                    }
                })?;
                end.shape = Some(sides);
            }
            _ => {}
        }
        Ok(())
    })
}

/// `TensorShapeProto.Dimension`: `None` without a size, or with one that says so (0, negative).
fn dimension(bytes: &[u8]) -> Result<Option<u64>, String> {
    let mut size = None;
    Fields(bytes).each(|field, item| {
        if let (1, Item::Number(n)) = (field, item) {
            size = Some(n).filter(|n| *n > 0 && i64::try_from(*n).is_ok());
        }
        Ok(())
    })?;
    Ok(size)
}
