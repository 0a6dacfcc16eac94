//! A worker's engine, seen from rank 0.

use super::link::Link;
use super::message::{Answer, Open, PIECE, Recorded, Request, decode, encode, local};
use crate::exec::{Descriptor, Engine, Purpose, Recording, Tensor, Traffic};
use crate::{Error, Result};
use std::collections::{BTreeSet, VecDeque};

/// The engine of another process. Writes and executions return at once; what fails there is the error of the next answer.
pub struct RemoteEngine {
    rank: usize,
    link: Box<dyn Link>,
    descriptor: Descriptor,
    max_binding_words: usize,
    winograd: bool,
    traffic: Traffic,
    /// Bytes of the worker's buffers.
    allocated: u64,
    exchanged: u64,
    /// Recordings that the worker keeps.
    recorded: BTreeSet<u64>,
    /// Tensors that the worker was asked for, in order.
    requested: VecDeque<Tensor>,
    /// Tensors that have arrived before they were read, in order.
    arrived: VecDeque<(Tensor, Vec<u32>)>,
}

impl RemoteEngine {
    /// Opens a device on the worker of `rank` behind `link`.
    ///
    /// # Errors
    /// The worker's, naming the rank.
    pub fn open(rank: usize, link: Box<dyn Link>, open: &Open) -> Result<RemoteEngine> {
        let mut engine = RemoteEngine::behind(rank, link);
        engine.post(&Request::Open(open.clone()), &[])?;
        engine.opened()
    }

    /// Opens devices on all workers at the same time, of ranks 1, 2, ... behind `links`.
    ///
    /// # Errors
    /// The first worker's, naming its rank.
    pub fn open_all(links: Vec<Box<dyn Link>>, open: &Open) -> Result<Vec<RemoteEngine>> {
        let mut engines: Vec<RemoteEngine> =
            (1..).zip(links).map(|(rank, link)| RemoteEngine::behind(rank, link)).collect();
        engines.iter_mut().try_for_each(|engine| engine.post(&Request::Open(open.clone()), &[]))?;
        // All answers are taken, so that a later attempt finds none of them.
        let opened: Vec<Result<RemoteEngine>> = engines.into_iter().map(RemoteEngine::opened).collect();
        opened.into_iter().collect()
    }

    fn behind(rank: usize, link: Box<dyn Link>) -> RemoteEngine {
        RemoteEngine {
            rank,
            link,
            descriptor: Descriptor::default(),
            max_binding_words: 0,
            winograd: false,
            traffic: Traffic::default(),
            allocated: 0,
            exchanged: 0,
            recorded: BTreeSet::new(),
            requested: VecDeque::new(),
            arrived: VecDeque::new(),
        }
    }

    fn opened(mut self) -> Result<RemoteEngine> {
        let opened = self.receive()?.0;
        let Answer::Opened { descriptor, max_binding_words, winograd } = opened else { return self.strange(&opened) };
        (self.descriptor, self.max_binding_words, self.winograd) = (descriptor, max_binding_words, winograd);
        Ok(self)
    }

    /// Sends a request, after the answers to earlier ones: the worker may be waiting for them to be taken.
    fn send(&mut self, request: &Request, words: &[u32]) -> Result<()> {
        self.take()?;
        self.post(request, words)
    }

    #[cfg(test)]
    pub(super) fn post_raw(&mut self, message: &[u8]) {
        self.link.send(message).unwrap();
    }

    fn post(&mut self, request: &Request, words: &[u32]) -> Result<()> {
        let message = encode(request, words)?;
        self.exchanged += message.len() as u64;
        self.link.send(&message).map_err(|error| error.within(&format!("rank {}", self.rank)))
    }

    fn receive(&mut self) -> Result<(Answer, Vec<u32>)> {
        let place = format!("rank {}", self.rank);
        let message = self.link.receive().map_err(|error| error.within(&place))?;
        self.exchanged += message.len() as u64;
        match decode(&message)? {
            (Answer::Failed(error), _) => Err(error.within(&place)),
            answer => Ok(answer),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<(Answer, Vec<u32>)> {
        self.send(request, &[])?;
        self.receive()
    }

    /// Receives all requested tensors.
    fn take(&mut self) -> Result<()> {
        while let Some(tensor) = self.requested.pop_front() {
            let words = self.words(tensor)?;
            self.arrived.push_back((tensor, words));
        }
        Ok(())
    }

    /// The next answer, which has the words of `tensor`.
    fn words(&mut self, tensor: Tensor) -> Result<Vec<u32>> {
        match self.receive()? {
            (Answer::Words, words) if words.len() == tensor.words => Ok(words),
            (answer, _) => self.strange(&answer),
        }
    }

    fn strange<T>(&self, answer: &Answer) -> Result<T> {
        Err(Error::internal(format!("rank {}: an unexpected answer: {answer:?}", self.rank)))
    }

    /// A tensor that was requested or not.
    fn piece(&mut self, from: Tensor) -> Result<Vec<u32>> {
        if let Some(at) = self.arrived.iter().position(|(tensor, _)| *tensor == from)
            && let Some((_, words)) = self.arrived.remove(at)
        {
            return Ok(words);
        }
        if !self.requested.contains(&from) {
            self.send(&Request::Read { from: local(from) }, &[])?;
            return self.words(from);
        }
        while let Some(tensor) = self.requested.pop_front() {
            let words = self.words(tensor)?;
            if tensor == from {
                return Ok(words);
            }
            self.arrived.push_back((tensor, words));
        }
        Err(Error::internal("a requested tensor did not arrive"))
    }
}

impl Drop for RemoteEngine {
    /// Takes the answers that are on their way: the worker's next engine has the same link.
    fn drop(&mut self) {
        while self.requested.pop_front().is_some() && self.link.receive().is_ok() {}
    }
}

/// Parts of a tensor short enough for a message.
fn pieces(tensor: Tensor) -> impl Iterator<Item = Tensor> {
    (0..tensor.words).step_by(PIECE).map(move |at| tensor.slice(at, PIECE.min(tensor.words - at)))
}

impl Engine for RemoteEngine {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        let answer = self.ask(&Request::Alloc { label: label.into(), words })?.0;
        let Answer::Allocated { tensor, bytes } = answer else { return self.strange(&answer) };
        self.allocated = bytes;
        let buffer = tensor.buffer.on(self.rank);
        let buffer = buffer.ok_or_else(|| Error::internal(format!("rank {}: no room for {tensor:?}", self.rank)))?;
        Ok(Tensor { buffer, ..tensor })
    }

    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
        if words.len() > to.words {
            return Err(Error::internal(format!("{} words for a tensor of {}", words.len(), to.words)));
        }
        for (at, piece) in (0..).step_by(PIECE).zip(words.chunks(PIECE)) {
            self.send(&Request::Write { to: local(to.slice(at, piece.len())) }, piece)?;
        }
        Ok(())
    }

    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        let mut words = Vec::with_capacity(from.words);
        for piece in pieces(from) {
            words.extend(self.piece(piece)?);
        }
        self.traffic.add(purpose, 4 * words.len() as u64);
        Ok(words)
    }

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        self.prepare(recording)?;
        self.send(&Request::Run { id: recording.id(), times }, &[])
    }

    fn finish(&mut self) -> Result<()> {
        match self.ask(&Request::Finish)?.0 {
            Answer::Finished => Ok(()),
            answer => self.strange(&answer),
        }
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn max_binding_words(&self) -> usize {
        self.max_binding_words
    }

    fn winograd(&self) -> bool {
        self.winograd
    }

    fn allocated_bytes(&self) -> u64 {
        self.allocated
    }

    fn forget(&mut self, recording: &Recording) {
        if self.recorded.remove(&recording.id()) {
            // A worker that cannot be reached has nothing left to forget.
            let _ = self.send(&Request::Forget { id: recording.id() }, &[]);
        }
    }

    fn prepare(&mut self, recording: &Recording) -> Result<()> {
        let id = recording.id();
        match self.recorded.insert(id) {
            true => self.send(&Request::Record { id, launches: Recorded::of(recording) }, &[]),
            false => Ok(()),
        }
    }

    fn prefetch(&mut self, from: Tensor) -> Result<()> {
        for piece in pieces(from) {
            self.post(&Request::Read { from: local(piece) }, &[])?;
            self.requested.push_back(piece);
        }
        Ok(())
    }

    fn exchanged(&self) -> u64 {
        self.exchanged
    }
}
