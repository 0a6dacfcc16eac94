use super::super::memory::tests::setup;
use super::*;
use crate::exec::{CpuEngine, Tensor};
use crate::session::tests::Heard;

/// The cpu engine with a limited number of bytes.
struct Small {
    inner: CpuEngine,
    bytes: u64,
}

impl Engine for Small {
    crate::forward_engine!(descriptor, write, read, run, finish, traffic, max_binding_words, allocated_bytes);

    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        let held = self.inner.allocated_bytes();
        if held + 4 * words as u64 > self.bytes {
            return Err(Error::OutOfMemory { what: format!("no room for `{label}`"), held });
        }
        self.inner.alloc(label, words)
    }
}

/// The messages and the result of building on a device with a limited number of bytes.
fn tried(setting: &Setup, bytes: u64) -> (Vec<String>, Result<Built>) {
    let small = || -> Result<Box<dyn Engine>> { Ok(Box::new(Small { inner: CpuEngine::new(), bytes })) };
    let memory = setting.predict(&CpuEngine::new(), None).unwrap();
    let mut heard = Heard::default();
    let built = build(setting, memory, small().unwrap(), 3, &small, &mut heard);
    (heard.notes, built)
}

#[test]
fn a_device_that_does_not_hold_all_clients_gets_half_of_them_at_a_time() {
    let (plan, images) = setup(&["federation.clients=5", "train.batch=16"]);
    let setting = Setup { plan: &plan, images: &images, verified: true, ranks: None };
    let bytes = |launch| setting.predict(&CpuEngine::new(), Some(launch)).unwrap().bytes;
    let rounds = |built: Built| {
        let mut federation = built.parts.federation;
        let reports: Vec<_> = (0..2).map(|_| federation.run_round().unwrap()).collect();
        federation.engine().finish().unwrap();
        assert!(built.checked.unwrap().lock().unwrap().launches > 0, "it is verified");
        (federation.clients_per_launch(), reports)
    };
    let (said, built) = tried(&setting, bytes(5));
    let (launch, all) = rounds(built.unwrap());
    assert_eq!((launch, said.len()), (5, 0));
    for (room, launch) in [(bytes(5) - 1, 2), (bytes(1), 1)] {
        let (said, built) = tried(&setting, room);
        let (found, reports) = rounds(built.unwrap());
        assert!(found == launch && reports == all, "{found} a launch");
        assert!(said[0].contains("no room for `") && said[0].ends_with("again with 2 clients per launch"), "{said:?}");
        assert!(said[1].ends_with("2 clients per launch, as the device could not hold 5"), "{said:?}");
        assert_eq!(said.len(), if launch == 2 { 2 } else { 4 }, "{said:?}");
    }
    assert_eq!(plan.federation.clients_per_launch, None, "the plan stays the user's");
}

#[test]
fn a_device_that_does_not_hold_one_client_says_what_it_would_hold() {
    let (plan, images) = setup(&["train.batch=32", "model.width=16"]);
    let setting = Setup { plan: &plan, images: &images, verified: false, ranks: None };
    let least = setting.predict(&CpuEngine::new(), Some(1)).unwrap().bytes;
    let (said, built) = tried(&setting, least * 9 / 10);
    let error = built.err().unwrap();
    assert_eq!(error.exit_code(), 1);
    let text = error.to_string();
    for part in ["device: no room for `", "most of it: ", "train.batch=", " would fit"] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert_eq!(said.len(), 2, "3, then 1: {said:?}");

    let (plan, images) = setup(&["train.batch=32", "model.width=16", "federation.clients_per_launch=2"]);
    let setting = Setup { plan: &plan, images: &images, verified: false, ranks: None };
    let (said, built) = tried(&setting, setting.predict(&CpuEngine::new(), None).unwrap().bytes - 1);
    let text = built.err().unwrap().to_string();
    assert!(said.is_empty() && text.contains("federation.clients_per_launch=1 or "), "{said:?} {text}");
}
