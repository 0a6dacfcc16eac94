//! Whether a finished cell is of the images and the device that the sweep asks for now.

use crate::Result;
use crate::config::Plan;
use crate::exec::Descriptor;
use crate::gpu::{Target, choose};
use crate::report::Summary;
use crate::session::images::{data_exists, digest_of, trigger};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What was found out of images and devices, each once.
#[derive(Debug, Default)]
pub(super) struct Known {
    images: RefCell<BTreeMap<String, Option<String>>>,
    devices: RefCell<BTreeMap<String, Option<[String; 4]>>>,
    remarks: RefCell<BTreeSet<String>>,
}

impl Known {
    /// Why the finished run is not of the plan's images and trigger, if it is not. Images that are not there (any more) cannot
    /// be compared, which is a remark.
    pub fn other_images(&self, plan: &Plan, summary: &Summary) -> Result<Option<String>> {
        let Some(was) = &summary.digests else {
            let version = &summary.version;
            return Ok(Some(format!("is of version {version}, which has not kept what its images were")));
        };
        let key = format!("{:?} {} {}", plan.data.source, plan.model.image_size, plan.model.channels);
        let known = self.images.borrow().get(&key).cloned();
        let now = known.unwrap_or_else(|| self.digest(plan));
        self.images.borrow_mut().insert(key, now.clone());
        let changed = match now {
            Some(now) if now != was.images => Some("is of other images than those that are there now"),
            _ => None,
        };
        let other_trigger = || match trigger(plan) {
            Ok(now) if now != was.trigger => Some("is of another picture as trigger than the one that is there now"),
            _ => None,
        };
        Ok(changed.or_else(other_trigger).map(String::from))
    }

    fn digest(&self, plan: &Plan) -> Option<String> {
        data_exists(plan).and_then(|()| digest_of(plan)).map_err(|error| self.remark(&error)).ok()
    }

    fn remark(&self, why: &crate::Error) {
        let what = format!("finished cells cannot be held against their images, and are kept: {why}");
        self.remarks.borrow_mut().insert(what);
    }

    /// The difference where a finished run's device was asked for in another way and is another one.
    pub fn other_device(&self, was: &str, now: &str, ran: &Descriptor) -> Option<String> {
        if was == now {
            return None;
        }
        let known = self.devices.borrow().get(now).cloned();
        let found = known.unwrap_or_else(|| resolve(now));
        self.devices.borrow_mut().insert(now.into(), found.clone());
        let ran = [&ran.engine, &ran.adapter, &ran.backend, &ran.driver];
        let same = found.as_ref().is_some_and(|found| match found[0].as_str() {
            "gpu" => found.iter().eq(ran),
            engine => engine == ran[0],
        });
        let is = found.map_or("not there".into(), |found| found[..2].join(" ").trim().to_string());
        (!same).then(|| format!("device = {was:?} ({} {}), now {now:?} ({is})", ran[0], ran[1]))
    }

    pub fn remarks(&self) -> Vec<String> {
        self.remarks.borrow().iter().cloned().collect()
    }
}

/// Engine, adapter, backend and driver that a request leads to; `None` where it leads to none.
fn resolve(request: &str) -> Option<[String; 4]> {
    let none = String::new;
    Some(match choose(request).ok()?.target {
        Target::Reference => ["reference".into(), none(), none(), none()],
        Target::Cpu => ["cpu".into(), none(), none(), none()],
        Target::Gpu(adapter) => {
            let facts = adapter.facts;
            ["gpu".into(), facts.name, format!("{:?}", facts.backend), facts.driver]
        }
    })
}
