//! What is timed: the same work that other frameworks do beside us in `cargo xtask bench --peers`.
//!
//! A workload is written as a user would write it, and says in its documentation what a step is, so
//! that another framework can do exactly that.

mod convnet;
mod dispatch_eager;
mod elementwise;
mod gru;
mod mlp;
mod mlp_loop;
mod resnet50;
mod vae;
mod wavenet;

use jaxnet_nn::prelude::*;
use jaxnet_optim::{OptState, Optimizer};
use jaxnet_tensor::Error;

/// Something that is done again and again; each call is one step, which has finished when it returns.
pub type Step = Box<dyn FnMut()>;

/// Makes a workload ready on a device: what is not part of a step.
pub type Setup = fn(&Device) -> Result<Step>;

/// All workloads by name.
pub const WORKLOADS: [(&str, Setup); 9] = [
    ("mlp", mlp::setup),
    ("mlp_loop", mlp_loop::setup),
    ("vae", vae::setup),
    ("convnet", convnet::setup),
    ("gru", gru::setup),
    ("wavenet", wavenet::setup),
    ("resnet50", resnet50::setup),
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

/// A step that turns a state into the next one, and gives the loss, for which it waits.
fn repeated<S: 'static>(state: S, step: impl Fn(S) -> (S, Tensor) + 'static) -> Step {
    let mut state = Some(state);
    Box::new(move || {
        let (next, loss) = step(state.take().expect("the state of the step before"));
        loss.block_until_ready();
        state = Some(next);
    })
}

/// A training step on always the same batch: gradient and update are one compiled function.
fn training<B: Tree + Clone + 'static>(
    loss: Parametrized<B, Tensor>,
    opt: impl Optimizer + Send + Sync + 'static,
    key: Key,
    batch: B,
    device: &Device,
) -> Result<Step> {
    let state = opt.init(loss.init_params(key, &batch)).to_device(device)?;
    let batch = batch.to_device(device)?;
    let step =
        jit(move |(state, batch): (OptState, B)| opt.update_and_get_loss(state, |params| loss.apply(&params, &batch)));
    Ok(repeated(state, move |state| step.call((state, batch.clone()))))
}
