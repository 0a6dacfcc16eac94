//! Whether a finished cell has the images and the device that the sweep now requests.

use crate::Result;
use crate::config::Plan;
use crate::exec::Descriptor;
use crate::gpu::{DeviceTarget, choose};
use crate::report::Summary;
use crate::session::images::{data_exists, digest_of, extractor, trigger};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Digests of images and descriptions of devices, each determined once.
#[derive(Debug, Default)]
pub(super) struct Known {
    images: RefCell<BTreeMap<String, Option<String>>>,
    extractors: RefCell<BTreeMap<String, Option<String>>>,
    devices: RefCell<BTreeMap<String, Option<[String; 4]>>>,
    remarks: RefCell<BTreeSet<String>>,
}

impl Known {
    /// How the finished run's images, trigger and extractor differ from the plan's, if they do. Missing files cannot be
    /// compared; missing images give a remark.
    pub fn other_images(&self, plan: &Plan, summary: &Summary) -> Result<Option<String>> {
        let Some(was) = &summary.digests else {
            let version = &summary.version;
            return Ok(Some(format!("is of version {version}, which did not record its images")));
        };
        let key = format!("{:?} {} {}", plan.data.source, plan.model.image_size, plan.model.channels);
        let known = self.images.borrow().get(&key).cloned();
        let now = known.unwrap_or_else(|| self.digest(plan));
        self.images.borrow_mut().insert(key, now.clone());
        let changed = match now {
            Some(now) if now != was.images => Some("is of other images than the present ones"),
            _ => None,
        };
        let other_trigger = || match trigger(plan) {
            Ok(now) if now != was.trigger => Some("is of another trigger picture than the present one"),
            _ => None,
        };
        let other_extractor =
            || (self.extractor(plan)? != was.extractor).then_some("is of another extractor than the present one");
        Ok(changed.or_else(other_trigger).or_else(other_extractor).map(String::from))
    }

    /// The digest of the plan's extractor; `None` if it cannot be read.
    fn extractor(&self, plan: &Plan) -> Option<Option<String>> {
        let Some(own) = plan.evaluation.own_extractor() else { return Some(None) };
        let mut known = self.extractors.borrow_mut();
        let digest = || extractor(plan).ok().flatten();
        known.entry(own.path.display().to_string()).or_insert_with(digest).clone().map(Some)
    }

    fn digest(&self, plan: &Plan) -> Option<String> {
        data_exists(plan).and_then(|()| digest_of(plan)).map_err(|error| self.remark(&error)).ok()
    }

    fn remark(&self, why: &crate::Error) {
        let what = format!("finished cells cannot be compared with their images, and are kept: {why}");
        self.remarks.borrow_mut().insert(what);
    }

    /// The difference if a finished run requested its device differently and the device is another one.
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

/// Engine, adapter, backend and driver that a request selects; `None` if it selects none.
fn resolve(request: &str) -> Option<[String; 4]> {
    let none = String::new;
    Some(match choose(request).ok()?.target {
        DeviceTarget::Reference => ["reference".into(), none(), none(), none()],
        DeviceTarget::Cpu => ["cpu".into(), none(), none(), none()],
        DeviceTarget::Gpu(adapter) => {
            let facts = adapter.facts;
            ["gpu".into(), facts.name, format!("{:?}", facts.backend), facts.driver]
        }
    })
}
