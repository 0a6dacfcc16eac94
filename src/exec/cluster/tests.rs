//! Messages and their order, between threads.

use super::message::{Answer, PIECE, Recorded, Request, decode, encode};
use super::*;
use crate::Error;
use crate::exec::{BufferId, CpuEngine, read_f32, write_f32};
use crate::kernels::util::fill::{Fill, FillParams};
use std::thread::{JoinHandle, spawn};

fn open() -> Open {
    Open { device: "cpu".into(), tuned: false }
}

/// A worker with the cpu engine, and its thread.
fn worker(rank: usize) -> (RemoteEngine, JoinHandle<Result<()>>) {
    let (root, mut end) = Thread::pair();
    let thread = spawn(move || serve(&mut end, |_| Ok(Box::new(CpuEngine::new()))));
    (RemoteEngine::open(rank, Box::new(root), &open()).unwrap(), thread)
}

fn fill(to: Tensor, value: f32) -> Recording {
    let mut rec = Recording::new();
    let n = to.words as u32;
    rec.launch(&Fill, &FillParams { clients: 1, n, y_stride: n, value }, &[to], "fill").unwrap();
    rec
}

#[test]
fn each_rank_has_its_own_memory() {
    let mut cluster = Cluster::new(Box::new(CpuEngine::new()), vec![worker(1).0, worker(2).0]);
    assert_eq!(cluster.ranks(), 3);
    let tensors: Vec<Tensor> = (0..3)
        .map(|rank| {
            cluster.place(rank);
            cluster.alloc("x", 64).unwrap()
        })
        .collect();
    assert_eq!(tensors.iter().map(|t| t.buffer.rank()).collect::<Vec<_>>(), [0, 1, 2]);
    let recordings: Vec<Recording> = tensors.iter().zip([1.0, 2.0, 3.0]).map(|(t, v)| fill(*t, v)).collect();
    recordings.iter().try_for_each(|rec| cluster.run(rec, 2)).unwrap();
    write_f32(&mut cluster, tensors[2].slice(0, 1), &[7.0]).unwrap();
    cluster.finish().unwrap();
    for (rank, (tensor, value)) in tensors.iter().zip([1.0, 2.0, 3.0]).enumerate() {
        let values = read_f32(&mut cluster, *tensor, Purpose::Check).unwrap();
        assert_eq!((values[0], values[63]), (if rank == 2 { 7.0 } else { value }, value));
    }
    // Only what rank 0 reads from its own device is its traffic.
    assert_eq!(cluster.traffic().total(), 4 * 64);
    let before = cluster.exchanged();
    read_f32(&mut cluster, tensors[1], Purpose::Check).unwrap();
    let bytes = cluster.exchanged() - before;
    assert!((4 * 64..4 * 64 + 200).contains(&bytes), "{bytes}");
    recordings.iter().for_each(|rec| cluster.forget(rec));
    cluster.run(&recordings[1], 1).unwrap();
    cluster.finish().unwrap();
}

/// What was announced may be read in another order, and whatever is sent in between.
#[test]
fn announced_tensors_may_be_read_in_any_order() {
    let (mut engine, _thread) = worker(3);
    let x = engine.alloc("x", 4 * 64).unwrap();
    let values: Vec<f32> = (0..256).map(|i| i as f32).collect();
    write_f32(&mut engine, x, &values).unwrap();
    let part = |at: usize| x.slice(64 * at, 64);
    (0..4).try_for_each(|at| engine.prefetch(part(at))).unwrap();
    let read = |engine: &mut RemoteEngine, at: usize| read_f32(engine, part(at), Purpose::Check).unwrap()[0];
    assert_eq!(read(&mut engine, 2), 128.0);
    // The tensors that were announced are those from before the write.
    write_f32(&mut engine, x, &[-1.0; 256]).unwrap();
    assert_eq!([0, 3, 1].map(|at| read(&mut engine, at)), [0.0, 192.0, 64.0]);
    assert_eq!([0, 3, 1].map(|at| read(&mut engine, at)), [-1.0; 3]);
}

#[test]
fn long_tensors_travel_in_pieces() {
    let (mut engine, _thread) = worker(1);
    let x = engine.alloc("x", PIECE + 64).unwrap();
    let mut words = vec![3; PIECE + 64];
    words[PIECE] = 5;
    engine.write(x, &words).unwrap();
    engine.prefetch(x).unwrap();
    assert!(engine.read(x, Purpose::Check).unwrap() == words);
    assert_eq!(engine.allocated_bytes(), 4 * (PIECE as u64 + 64));
}

#[test]
fn launches_arrive_as_they_were_recorded() {
    let tensor = Tensor { buffer: BufferId(5).on(2).unwrap(), offset: 64, words: 128 };
    let sent = Request::Record { id: 9, launches: Recorded::of(&fill(tensor, 0.1)) };
    let (got, words) = decode::<Request>(&encode(&sent, &[1, u32::MAX]).unwrap()).unwrap();
    assert_eq!((&got, &words[..]), (&sent, &[1, u32::MAX][..]));
    let Request::Record { launches, .. } = got else { panic!("another request") };
    let again = Recorded::again(launches).unwrap();
    let launch = &again.launches()[0];
    assert_eq!((launch.kernel.name(), &launch.label[..]), ("fill", "fill"));
    assert_eq!(launch.args[0], Tensor { buffer: BufferId(5), ..tensor });
    assert_eq!(launch.params, fill(tensor, 0.1).launches()[0].params);
}

#[test]
fn a_recording_has_tensors_of_one_rank() {
    let on = |rank| Tensor { buffer: BufferId(rank as u32).on(rank).unwrap(), offset: 0, words: 64 };
    let mut rec = fill(on(1), 1.0);
    assert_eq!(rec.rank(), Some(1));
    let p = FillParams { clients: 1, n: 64, y_stride: 64, value: 0.0 };
    let error = rec.launch(&Fill, &p, &[on(2)], "fill").unwrap_err().to_string();
    assert!(error.contains("is on rank 2, in a recording of rank 1"), "{error}");
    assert_eq!(BufferId(1 << 22).on(1), None);
    assert_eq!(BufferId(0).on(BufferId::MOST_RANKS), None);
    let last = BufferId((1 << 22) - 1).on(BufferId::MOST_RANKS - 1).unwrap();
    assert_eq!((last.rank(), last.local()), (BufferId::MOST_RANKS - 1, BufferId((1 << 22) - 1)));
}

/// A device that executes nothing.
struct Lost {
    inner: CpuEngine,
}

impl Engine for Lost {
    crate::forward_engine!(descriptor, alloc, write, read, finish, traffic, max_binding_words);

    fn run(&mut self, recording: &Recording, _times: u32) -> Result<()> {
        Err(Error::device(format!("lost in `{}`", recording.launches()[0].label)))
    }
}

#[test]
fn a_worker_opens_devices_until_it_is_ended() {
    let (root, mut end) = Thread::pair();
    let mut opened = 0;
    let thread = spawn(move || {
        let ended = serve(&mut end, |open| {
            opened += 1;
            match open.device.as_str() {
                "cpu" => Ok(Box::new(CpuEngine::new()) as Box<dyn Engine>),
                "lost" => Ok(Box::new(Lost { inner: CpuEngine::new() })),
                other => Err(Error::input(format!("no device `{other}`"))),
            }
        });
        (ended, opened)
    });
    // One link for several devices, as a session reopens a failed one.
    let root = std::rc::Rc::new(std::cell::RefCell::new(root));
    struct Shared(std::rc::Rc<std::cell::RefCell<Thread>>);
    impl Link for Shared {
        fn send(&mut self, message: &[u8]) -> Result<()> {
            self.0.borrow_mut().send(message)
        }
        fn receive(&mut self) -> Result<Vec<u8>> {
            self.0.borrow_mut().receive()
        }
    }
    let connect = |device: &str| {
        let open = Open { device: device.into(), ..open() };
        RemoteEngine::open(1, Box::new(Shared(root.clone())), &open)
    };
    let error = connect("voodoo").err().unwrap();
    assert_eq!((error.exit_code(), error.to_string()), (2, "rank 1: no device `voodoo`".into()));
    let mut first = connect("lost").unwrap();
    let x = first.alloc("x", 64).unwrap();
    first.read(x, Purpose::Check).unwrap();
    // The first failure is the answer to everything after it, until another device is open.
    first.run(&fill(x, 1.0), 1).unwrap();
    let [a, b] = [first.finish().unwrap_err(), first.read(x, Purpose::Check).unwrap_err()].map(|e| e.to_string());
    assert_eq!([&a[..], &b[..]], ["device: rank 1: lost in `fill`"; 2]);
    let mut second = connect("cpu").unwrap();
    let y = second.alloc("y", 64).unwrap();
    assert_eq!(second.read(y, Purpose::Check).unwrap(), vec![0; 64], "a fresh device");
    root.borrow_mut().send(&super::end()).unwrap();
    let (ended, opened) = thread.join().unwrap();
    assert_eq!((ended.is_ok(), opened), (true, 3));
}

#[test]
fn a_thread_that_ended_and_strange_messages_are_errors() {
    let (mut engine, thread) = worker(4);
    engine.post_raw(b"\x02\x00\x00\x00{}");
    assert!(thread.join().unwrap().unwrap_err().to_string().contains("a message of 6 bytes"));
    let error = engine.finish().unwrap_err().to_string();
    assert_eq!(error, "device: rank 4: the other thread has ended");
    for bad in [&b""[..], b"\x01\x00", b"\x09\x00\x00\x00{}", b"\x00\x00\x00\x00", b"\x08\x00\x00\x00\"Finish\"\x01"] {
        let error = decode::<Request>(bad).unwrap_err().to_string();
        assert!(error.contains(&format!("a message of {} bytes", bad.len())), "{error}");
    }
    assert_eq!(decode::<Answer>(b"\x0a\x00\x00\x00\"Finished\"").unwrap(), (Answer::Finished, vec![]));
}
