//! What ranks say to each other: a header of JSON, and the words of a tensor behind it.
//!
//! A message is the header's length (u32), the header, and the words; all little-endian.

use crate::exec::{BufferId, Descriptor, Launch, Recording, Tensor};
use crate::{Error, Result, kernels};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The most words of one message: 64 MiB. Longer tensors are sent in several.
pub const PIECE: usize = 1 << 24;

/// A request to open a device, which replaces the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The device, as on the command line.
    pub device: String,
    /// Whether the adapter's tuning file is used.
    pub tuned: bool,
}

/// From rank 0 to a worker. Those that are not answered may fail: the next answer has the error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Opens a device; answered.
    Open(Open),
    /// Allocates a buffer; answered.
    Alloc { label: String, words: usize },
    /// Writes the words that follow.
    Write { to: Tensor },
    /// Reads a tensor; answered.
    Read { from: Tensor },
    /// Keeps a recording under a number.
    Record { id: u64, launches: Vec<Recorded> },
    /// Runs a kept recording.
    Run { id: u64, times: u32 },
    /// Drops a kept recording.
    Forget { id: u64 },
    /// Waits until the device is done; answered.
    Finish,
    /// Ends the worker.
    End,
}

/// From a worker to rank 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The device that was opened.
    Opened { descriptor: Descriptor, max_binding_words: usize, winograd: bool },
    /// A new buffer, and the bytes of all.
    Allocated { tensor: Tensor, bytes: u64 },
    /// The words that follow.
    Words,
    /// The device is done.
    Finished,
    /// What went wrong.
    Failed(Error),
}

/// A [`Launch`] on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    kernel: String,
    params: Vec<u32>,
    args: Vec<Tensor>,
    label: String,
}

/// A tensor as its own rank names it.
pub fn local(tensor: Tensor) -> Tensor {
    Tensor { buffer: BufferId::local(tensor.buffer), ..tensor }
}

impl Recorded {
    /// The launches of `recording`.
    pub fn of(recording: &Recording) -> Vec<Recorded> {
        let recorded = |Launch { kernel, params, args, label }: &Launch| Recorded {
            kernel: kernel.name().into(),
            params: params.clone(),
            args: args.iter().copied().map(local).collect(),
            label: label.clone(),
        };
        recording.launches().iter().map(recorded).collect()
    }

    /// The recording of such launches, checked as when they were recorded.
    ///
    /// # Errors
    /// [`Error::Internal`] if the catalogue has no such kernel, or it has other operands.
    pub fn again(launches: Vec<Recorded>) -> Result<Recording> {
        let mut recording = Recording::new();
        for Recorded { kernel, params, args, label } in launches {
            let row =
                kernels::find(&kernel).ok_or_else(|| Error::internal(format!("{label}: no kernel `{kernel}`")))?;
            recording.launch_words(row, params, &args, label)?;
        }
        Ok(recording)
    }
}

/// The request that ends a worker.
pub fn end() -> Vec<u8> {
    encode(&Request::End, &[]).unwrap_or_default()
}

/// A message of a header and words.
///
/// # Errors
/// [`Error::Internal`] if the header cannot be written.
pub fn encode(header: &impl Serialize, words: &[u32]) -> Result<Vec<u8>> {
    let header = serde_json::to_vec(header).map_err(|e| Error::internal(format!("a message: {e}")))?;
    let mut message = Vec::with_capacity(4 + header.len() + 4 * words.len());
    message.extend_from_slice(&(header.len() as u32).to_le_bytes());
    message.extend_from_slice(&header);
    message.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    Ok(message)
}

/// The header and the words of a message.
///
/// # Errors
/// [`Error::Internal`] for anything else.
pub fn decode<T: DeserializeOwned>(message: &[u8]) -> Result<(T, Vec<u32>)> {
    let bad = |why: &str| Error::internal(format!("a message of {} bytes: {why}", message.len()));
    let (length, rest) = message.split_first_chunk::<4>().ok_or_else(|| bad("too short"))?;
    let length = u32::from_le_bytes(*length) as usize;
    let (header, words) = rest.split_at_checked(length).ok_or_else(|| bad("too short"))?;
    let header = serde_json::from_slice(header).map_err(|e| bad(&e.to_string()))?;
    let (words, []) = words.as_chunks::<4>() else { return Err(bad("no whole number of words")) };
    Ok((header, words.iter().map(|word| u32::from_le_bytes(*word)).collect()))
}
