//! Computing in half precision.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_autograd::value_and_grad_aux;
use jaxnet_tensor::{DType, Error, OrRaise, Tensor, Tree, raise, tree};

use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A model that computes in another precision than its parameters are kept in: parameters and inputs are converted on
/// their way in, and what it gives is converted to f32.
///
/// Parameters, as they are made, trained and saved, stay f32, as do running statistics, and what layers compute in f32
/// whatever their inputs are: the statistics of normalization and the softmax of attention. The loss belongs outside.
///
/// It is the same module as the one inside, with the same parameters in the same places. With f16, whose range is small,
/// derivatives need a [`LossScale`]; bf16 has the range of f32.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = sequential![Dense::new(64), BatchNorm::new(), relu, Dense::new(10)];
/// let fast = MixedPrecision::new(net.clone(), DType::BF16);
/// let x = Key::new(1).normal([8, 32]);
/// let vars = fast.init(Key::new(0), &x);
/// assert_eq!(vars.params["dense0.kernel"].dtype(), DType::F32);
/// let (y, _) = fast.call(&vars, &x, Mode::Train(Key::new(2)));
/// assert_eq!(y.dtype(), DType::F32);
/// assert!(y.allclose(net.call(&vars, &x, Mode::Train(Key::new(2))).0, 0.0, 0.1));
/// // The products are those of half precision.
/// let program = jit(|x: Tensor| fast.call(&vars, &x, Mode::Eval).0).program(&x).to_string();
/// assert!(program.contains("bf16[8,64] = dot_general"));
/// ```
#[derive(Clone, Debug)]
pub struct MixedPrecision<M> {
    module: M,
    compute: DType,
    output: DType,
}

impl<M> MixedPrecision<M> {
    /// Runs this module in this precision.
    ///
    /// # Panics
    ///
    /// If it is none of floating-point numbers.
    #[track_caller]
    pub fn new(module: M, compute: DType) -> Self {
        MixedPrecision { module, compute: float(compute), output: DType::F32 }
    }

    /// What the results are converted to; f32 otherwise. With the precision of the computation, parts of a net may be
    /// wrapped one after the other.
    ///
    /// # Panics
    ///
    /// If it is none of floating-point numbers.
    #[track_caller]
    pub fn output(self, dtype: DType) -> Self {
        MixedPrecision { output: float(dtype), ..self }
    }
}

#[track_caller]
fn float(dtype: DType) -> DType {
    if !dtype.is_float() {
        raise(Error::invalid(
            "MixedPrecision",
            format!("{dtype} is none of floating-point numbers; see `DType::BF16`"),
        ));
    }
    dtype
}

/// A tree with its floating-point leaves converted.
#[track_caller]
fn converted<T: Tree>(x: &T, dtype: DType) -> T {
    let (leaves, structure) = tree::flatten(x);
    let leaves = leaves.into_iter().map(|leaf| convert(&leaf, dtype)).collect();
    tree::unflatten(&structure, leaves).or_raise()
}

#[track_caller]
fn convert(x: &Tensor, dtype: DType) -> Tensor {
    if x.dtype().is_float() { x.astype(dtype) } else { x.clone() }
}

impl<X: Tree, M: Module<X>> Module<X> for MixedPrecision<M> {
    type Output = M::Output;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> M::Output {
        let compute = self.compute;
        let read = Arc::new(move |_: &mut Scope<'_>, parameter: &Tensor| convert(parameter, compute));
        // What data-dependent initializers make of inputs is kept like the rest.
        let keep = Arc::new(|parameter: &Tensor| match parameter.dtype() {
            DType::F16 | DType::BF16 => parameter.astype(DType::F32),
            _ => parameter.clone(),
        });
        let x = converted(x, compute);
        let y = cx.replacing(read, keep, |cx| self.module.forward(cx, &x));
        converted(&y, self.output)
    }

    fn id(&self) -> Option<ModuleId> {
        self.module.id()
    }

    fn name(&self) -> Cow<'_, str> {
        self.module.name()
    }
}

/// A factor for losses that keeps derivatives in the range of f16 (Micikevicius et al. 2018): it is halved where one is
/// not finite, and doubled after 2000 steps in a row without that. A tree that goes in and comes out, as the state of an
/// optimizer.
///
/// Parameters should not be updated where derivatives were not finite: the optimizers' `ApplyIfFinite` sees to that, or
/// `finite.select(next, before)`.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = MixedPrecision::new(Dense::new(1), DType::F16);
/// let (x, y) = (Key::new(1).normal([16, 4]), Tensor::ones([16, 1]));
/// let step = jit(|(params, scale): (Params, LossScale)| {
///     let loss = |params: Params| (net.apply(&params, &x) - &y).square().mean();
///     let (value, gradients, finite, scale) = scale.value_and_grad(loss)(params.clone());
///     let mut gradients = gradients.leaves().into_iter();
///     let next = params.map(|_, leaf| {
///         let gradient = gradients.next().expect("one for each parameter");
///         finite.select(leaf - gradient * 0.1, leaf)
///     });
///     (next, scale, value)
/// });
/// let (mut params, mut scale) = (net.init_params(Key::new(0), &x), LossScale::new());
/// let mut losses = Vec::new();
/// for _ in 0..20 {
///     let (next, next_scale, loss) = step.call((params, scale));
///     (params, scale) = (next, next_scale);
///     losses.push(loss.item::<f32>());
/// }
/// assert!(losses[19] < 0.5 * losses[0]);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct LossScale {
    /// What losses are multiplied by, an f32 scalar.
    pub scale: Tensor,
    /// How many steps in a row were finite, an i32 scalar.
    pub finite_steps: Tensor,
    #[tree(static)]
    growth_interval: u32,
}

impl Default for LossScale {
    fn default() -> Self {
        LossScale::new()
    }
}

impl LossScale {
    /// Starts with 65536, as Flax and PyTorch do.
    pub fn new() -> Self {
        LossScale { scale: Tensor::scalar(65536_f32), finite_steps: Tensor::scalar(0_i32), growth_interval: 2000 }
    }

    /// Starts with another factor.
    ///
    /// # Panics
    ///
    /// If it is not a positive number.
    #[track_caller]
    pub fn starting_at(self, scale: f32) -> Self {
        if !scale.is_finite() || scale <= 0.0 {
            raise(Error::invalid("LossScale", format!("the factor must be a positive number, got {scale}")));
        }
        LossScale { scale: Tensor::scalar(scale), ..self }
    }

    /// After how many finite steps in a row the factor is doubled; 2000 otherwise.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn growth_interval(self, steps: u32) -> Self {
        if steps == 0 {
            raise(Error::invalid("LossScale", "the interval must be one step at least, got 0"));
        }
        LossScale { growth_interval: steps, ..self }
    }

    /// As [`value_and_grad`](jaxnet_autograd::value_and_grad), with derivatives computed of the scaled loss and divided
    /// again: the loss, its derivatives, whether all of them are finite (a boolean scalar), and the scale for the next
    /// step.
    pub fn value_and_grad<P: Tree>(&self, loss: impl Fn(P) -> Tensor) -> impl Fn(P) -> (Tensor, P, Tensor, LossScale) {
        let run = self.value_and_grad_aux(move |params| (loss(params), ()));
        move |params| {
            let ((value, ()), gradients, finite, next) = run(params);
            (value, gradients, finite, next)
        }
    }

    /// The same for a function that gives something beside the loss, such as new state.
    pub fn value_and_grad_aux<P: Tree, A: Tree>(
        &self,
        loss: impl Fn(P) -> (Tensor, A),
    ) -> impl Fn(P) -> ((Tensor, A), P, Tensor, LossScale) {
        let scale = self.clone();
        move |params: P| {
            let scaled = |params: P| {
                let (value, aux) = loss(params);
                // A loss in f16 would overflow by the factor alone.
                let wide = if value.dtype() == DType::F64 { value.clone() } else { value.astype(DType::F32) };
                (wide * &scale.scale, (value, aux))
            };
            let ((_, (value, aux)), gradients) = value_and_grad_aux(scaled)(params);
            let (gradients, finite) = scale.unscale(&gradients);
            let next = scale.next(&finite);
            ((value, aux), gradients, finite, next)
        }
    }

    /// Derivatives of a scaled loss as those of the loss, and whether all are finite, a boolean scalar. (What is not
    /// finite comes out as it is.)
    #[track_caller]
    pub fn unscale<P: Tree>(&self, gradients: &P) -> (P, Tensor) {
        let (leaves, structure) = tree::flatten(gradients);
        let mut finite = Tensor::scalar(true);
        let mut unscaled = Vec::new();
        for leaf in leaves {
            finite = finite & leaf.is_finite().all();
            // As f16, small ones would vanish before they are divided.
            let wide = if leaf.dtype() == DType::F64 { leaf.clone() } else { leaf.astype(DType::F32) };
            unscaled.push((wide / &self.scale).astype(leaf.dtype()));
        }
        (tree::unflatten(&structure, unscaled).or_raise(), finite)
    }

    /// The scale after a step, which was finite or not.
    #[track_caller]
    pub fn next(&self, finite: &Tensor) -> LossScale {
        let grows = finite & self.finite_steps.ge(self.growth_interval as i32 - 1);
        // Not beyond what f32 can hold, and not to 0.
        let grown = (&self.scale * 2.0).minimum(f64::from(f32::MAX));
        let shrunk = (&self.scale * 0.5).maximum(f64::from(f32::MIN_POSITIVE));
        let scale = grows.select(grown, finite.select(&self.scale, shrunk));
        let finite_steps = (finite & !&grows).select(&self.finite_steps + 1, 0);
        LossScale { scale, finite_steps, ..self.clone() }
    }
}
