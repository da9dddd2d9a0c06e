//! Checking derivatives against finite differences.

use jaxnet_tensor::{DType, Error, Key, Result, Structure, Tensor, Tree, tree};

use crate::forward::{instantiate, jvp_leaves};
use crate::function::{Function, check_differentiable, on_leaves};
use crate::reverse::linearize_leaves;

/// How [`check_grads`] checks.
#[derive(Clone, Copy, Debug)]
pub struct GradCheck {
    /// Up to which order of derivatives.
    pub order: usize,
    /// Whether in forward mode.
    pub forward: bool,
    /// Whether in reverse mode.
    pub reverse: bool,
    /// The tolerated error, relative to the size of the derivative (and absolute where that is below 1).
    pub tolerance: f64,
    /// The step of the differences.
    pub step: f64,
    /// The seed of the directions.
    pub seed: u64,
}

impl Default for GradCheck {
    /// Both modes to second order, with a tolerance for f64.
    fn default() -> Self {
        GradCheck { order: 2, forward: true, reverse: true, tolerance: 1e-5, step: 1e-5, seed: 0 }
    }
}

/// Compares the derivatives of a function at a point with central differences, in random directions: in
/// forward and reverse mode, and for higher orders each mode over each.
///
/// Points should be in f64: differences in f32 have few right digits.
///
/// # Errors
///
/// When a derivative is off, or a leaf has none.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::{check_grads, GradCheck};
/// use jaxnet_tensor::Tensor;
///
/// let x = Tensor::from([0.3, 0.7]);
/// check_grads(|x: Tensor| x.sin() * x.exp(), x, GradCheck::default())?;
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
pub fn check_grads<A: Tree, F: Function<A>>(f: F, at: A, check: GradCheck) -> Result<()>
where
    F::Output: Tree,
{
    let (primals, structure) = tree::flatten(&at);
    check_differentiable("check_grads", &structure, &primals)?;
    let run = |leaves: &[Tensor]| {
        let mut out: Option<Structure> = None;
        on_leaves(&f, &structure, &mut out, leaves)
    };
    check_leaves(&run, &primals, check, check.order, Key::new(check.seed), "f")
}

type Leaves<'a> = &'a dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>;

fn check_leaves(f: Leaves<'_>, at: &[Tensor], check: GradCheck, order: usize, key: Key, what: &str) -> Result<()> {
    if order == 0 {
        return Ok(());
    }
    let [towards, against, forward_key, reverse_key] = key.split_array();
    let direction = like(at, towards);
    let moved = |by: f64| -> Result<Vec<Tensor>> {
        let at: Vec<Tensor> = at.iter().zip(&direction).map(|(x, t)| x + t * by).collect();
        f(&at)
    };
    let (after, before) = (moved(check.step)?, moved(-check.step)?);
    // Results that are no floats have no derivative to check.
    let float: Vec<bool> = after.iter().map(|y| y.dtype().is_float()).collect();
    let floats = |values: Vec<Tensor>| -> Vec<Tensor> {
        values.into_iter().zip(&float).filter(|(_, float)| **float).map(|(y, _)| y).collect()
    };
    let numeric: Vec<Tensor> =
        floats(after).iter().zip(floats(before)).map(|(after, before)| (after - before) / (2.0 * check.step)).collect();
    let some: Vec<Option<Tensor>> = direction.iter().cloned().map(Some).collect();
    if check.forward {
        let (outputs, tangents) = jvp_leaves(f, at, &some)?;
        let tangents = floats(instantiate(&outputs, tangents)?);
        for (i, (ours, numeric)) in tangents.iter().zip(&numeric).enumerate() {
            compare(ours, numeric, check, &format!("jvp of {what}, result {i}"))?;
        }
        let derivative = |values: &[Tensor]| {
            let (x, t) = values.split_at(at.len());
            let t: Vec<Option<Tensor>> = t.iter().cloned().map(Some).collect();
            let (outputs, tangents) = jvp_leaves(f, x, &t)?;
            Ok(floats(instantiate(&outputs, tangents)?))
        };
        let both: Vec<Tensor> = at.iter().chain(&direction).cloned().collect();
        check_leaves(&derivative, &both, check, order - 1, forward_key, &format!("jvp of {what}"))?;
    }
    if check.reverse {
        let (outputs, linear) = linearize_leaves(f, at)?;
        let cotangents = like(&floats(outputs), against);
        let all: Vec<Option<Tensor>> = crate::programs::spread(cotangents.iter().cloned(), &float);
        let gradients = instantiate(at, linear.transpose(all)?)?;
        // <ct, J t> = <J^T ct, t>
        let ours = dot(&gradients, &direction);
        compare(&ours, &dot(&cotangents, &numeric), check, &format!("vjp of {what}"))?;
        let derivative = |values: &[Tensor]| {
            let (x, ct) = values.split_at(at.len());
            let (_, linear) = linearize_leaves(f, x)?;
            let all = crate::programs::spread(ct.iter().cloned(), &float);
            instantiate(x, linear.transpose(all)?)
        };
        let both: Vec<Tensor> = at.iter().chain(&cotangents).cloned().collect();
        check_leaves(&derivative, &both, check, order - 1, reverse_key, &format!("vjp of {what}"))?;
    }
    Ok(())
}

/// Random tensors of the same kinds.
fn like(of: &[Tensor], key: Key) -> Vec<Tensor> {
    of.iter().zip(key.split_n(of.len())).map(|(x, key)| key.normal_dtype(x.shape(), x.dtype())).collect()
}

fn dot(a: &[Tensor], b: &[Tensor]) -> Tensor {
    a.iter().zip(b).map(|(a, b)| (a * b).sum().astype(DType::F64)).fold(Tensor::scalar(0.0_f64), |sum, x| sum + x)
}

fn compare(ours: &Tensor, numeric: &Tensor, check: GradCheck, what: &str) -> Result<()> {
    let (a, b) = (ours.astype(DType::F64).to_vec::<f64>(), numeric.astype(DType::F64).to_vec::<f64>());
    let scale = b.iter().fold(1.0_f64, |max, x| max.max(x.abs()));
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        let distance = (a - b).abs();
        if distance.is_nan() || distance > check.tolerance * scale {
            return Err(Error::Differentiation(format!("{what}: element {i} is {a}, central differences give {b}")));
        }
    }
    Ok(())
}
