//! A worker: executes what rank 0 asks for.

use super::link::Link;
use super::message::{Answer, Open, Recorded, Request, decode, encode};
use crate::exec::{Engine, Purpose, Recording};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// How a worker's engine was released.
enum Released {
    /// Rank 0 asks for another device.
    Open(Open),
    /// The worker ends.
    End,
}

/// Answers requests with the engine that `open` opens, and with further ones, until rank 0 ends the worker.
///
/// # Errors
/// If rank 0 cannot be reached, or sends what is no request.
pub fn serve(link: &mut dyn Link, mut open: impl FnMut(&Open) -> Result<Box<dyn Engine>>) -> Result<()> {
    let mut request = first(link)?;
    loop {
        match request {
            Released::End => return Ok(()),
            Released::Open(asked) => match open(&asked) {
                Ok(mut engine) => {
                    let answer = Answer::Opened {
                        descriptor: engine.descriptor().clone(),
                        max_binding_words: engine.max_binding_words(),
                        winograd: engine.winograd(),
                    };
                    link.send(&encode(&answer, &[])?)?;
                    request = execute(link, engine.as_mut())?;
                }
                Err(error) => {
                    link.send(&encode(&Answer::Failed(error), &[])?)?;
                    request = first(link)?;
                }
            },
        }
    }
}

/// The first request, before a device is open.
fn first(link: &mut dyn Link) -> Result<Released> {
    match decode::<Request>(&link.receive()?)?.0 {
        Request::Open(open) => Ok(Released::Open(open)),
        Request::End => Ok(Released::End),
        other => Err(Error::internal(format!("a request without a device: {other:?}"))),
    }
}

/// Executes requests until the engine is released.
fn execute(link: &mut dyn Link, engine: &mut dyn Engine) -> Result<Released> {
    let mut recordings: BTreeMap<u64, Recording> = BTreeMap::new();
    // The first failure of a request without an answer; nothing is executed after it.
    let mut failed: Option<Error> = None;
    loop {
        let (request, words) = decode::<Request>(&link.receive()?)?;
        let answer = match request {
            Request::Open(open) => return Ok(Released::Open(open)),
            Request::End => return Ok(Released::End),
            Request::Alloc { .. } | Request::Read { .. } | Request::Finish => {
                let answer = failed.clone().map_or_else(|| answer(engine, &request), Err);
                Some(answer.unwrap_or_else(|error| (Answer::Failed(error), Vec::new())))
            }
            other if failed.is_none() => {
                failed = obey(engine, &mut recordings, other, &words).err();
                None
            }
            _ => None,
        };
        if let Some((answer, words)) = answer {
            link.send(&encode(&answer, &words)?)?;
        }
    }
}

/// The answer to a request that has one.
fn answer(engine: &mut dyn Engine, request: &Request) -> Result<(Answer, Vec<u32>)> {
    match request {
        Request::Alloc { label, words } => {
            let tensor = engine.alloc(label, *words)?;
            Ok((Answer::Allocated { tensor, bytes: engine.allocated_bytes() }, Vec::new()))
        }
        Request::Read { from } => Ok((Answer::Words, engine.read(*from, Purpose::Exchange)?)),
        _ => engine.finish().map(|()| (Answer::Finished, Vec::new())),
    }
}

/// Executes a request without an answer.
fn obey(
    engine: &mut dyn Engine,
    recordings: &mut BTreeMap<u64, Recording>,
    request: Request,
    words: &[u32],
) -> Result<()> {
    match request {
        Request::Write { to } => engine.write(to, words),
        Request::Record { id, launches } => {
            recordings.insert(id, Recorded::again(launches)?);
            Ok(())
        }
        Request::Run { id, times } => {
            let recording = recordings.get(&id).ok_or_else(|| Error::internal(format!("no recording {id}")))?;
            engine.run(recording, times)
        }
        Request::Forget { id } => {
            if let Some(recording) = recordings.remove(&id) {
                engine.forget(&recording);
            }
            Ok(())
        }
        other => Err(Error::internal(format!("unexpected: {other:?}"))),
    }
}
