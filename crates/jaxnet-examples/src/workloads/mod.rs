//! What is timed: the same work that other frameworks do beside us in `cargo xtask bench --peers`.
//!
//! A workload is written as a user would write it, and says in its documentation what a step is, so
//! that another framework can do exactly that.

mod convnet;
mod dispatch_eager;
mod elementwise;
mod mlp;
mod vae;

use jaxnet_tensor::{Device, Error, Result};

/// Something that is done again and again; each call is one step, which has finished when it returns.
pub type Step = Box<dyn FnMut()>;

/// Makes a workload ready on a device: what is not part of a step.
pub type Setup = fn(&Device) -> Result<Step>;

/// All workloads by name.
pub const WORKLOADS: [(&str, Setup); 5] = [
    ("mlp", mlp::setup),
    ("vae", vae::setup),
    ("convnet", convnet::setup),
    ("elementwise", elementwise::setup),
    ("dispatch_eager", dispatch_eager::setup),
];

/// The workload of a name, ready to run.
///
/// # Errors
///
/// When there is none of that name, or the device fails.
pub fn setup(name: &str, device: &Device) -> Result<Step> {
    match WORKLOADS.iter().find(|(known, _)| *known == name) {
        Some((_, setup)) => setup(device),
        None => {
            let names = WORKLOADS.map(|(name, _)| name).join(", ");
            Err(Error::invalid("workload", format!("there is no {name}; there are {names}")))
        }
    }
}
