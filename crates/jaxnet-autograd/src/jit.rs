//! `jit`: tracing a function once, and running the compiled program from then on.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use jaxnet_tensor::primitive::Control;
use jaxnet_tensor::program::{self, stage::stage};
use jaxnet_tensor::trace::{bind, is_staging};
use jaxnet_tensor::{Aval, Error, OrRaise, Program, Result, Structure, Tensor, Tree, tree, try_catch};

use crate::function::{Function, on_leaves};

/// Compiles a function.
///
/// At the first call with arguments of some structure, shapes and dtypes, the function runs once on
/// traced values; what it does with them becomes a program, which the device compiles. Later calls run
/// the compiled program only: Rust code with other effects (printing, counting) runs while tracing. The
/// log (target `jaxnet::jit`) says when and why a function is traced again.
///
/// An argument is moved into the call: memory of leaves that nobody else holds is used again for the
/// results.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::jit;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let scale = tensor![2.0];
/// let f = jit(|x: Tensor| (x * &scale).sum());
/// assert_eq!(f.call(tensor![1.0, 2.0]).item::<f32>(), 6.0);
/// ```
pub fn jit<A: Tree, F: Function<A>>(f: F) -> Jit<F, A>
where
    F::Output: Tree,
{
    Jit { f, entries: Mutex::default(), argument: PhantomData }
}

/// A compiled function, made by [`jit`].
pub struct Jit<F, A> {
    f: F,
    entries: Mutex<Entries>,
    argument: PhantomData<fn(A)>,
}

#[derive(Default)]
struct Entries {
    map: HashMap<Signature, Arc<Entry>>,
    last: Option<Signature>,
}

/// What a function is traced for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Signature {
    structure: Structure,
    avals: Vec<Aval>,
}

struct Entry {
    program: Program,
    captured: Vec<Tensor>,
    out: Structure,
}

impl<A: Tree, F: Function<A>> Jit<F, A>
where
    F::Output: Tree,
{
    /// Calls the function.
    ///
    /// # Panics
    ///
    /// If tracing it or running it fails; see [`try_call`](Self::try_call).
    #[track_caller]
    pub fn call(&self, argument: A) -> F::Output {
        self.run_compiled(argument, false).or_raise()
    }

    /// Calls the function.
    ///
    /// ```
    /// use jaxnet_autograd::jit;
    /// use jaxnet_tensor::{Tensor, tensor};
    ///
    /// let f = jit(|x: Tensor| x + tensor![1.0, 2.0]);
    /// assert!(f.try_call(tensor![1.0, 2.0]).is_ok());
    /// assert!(f.try_call(tensor![1.0, 2.0, 3.0]).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// When an operation is wrong while tracing, or the device fails. (Under `panic = "abort"` mistakes
    /// while tracing end the process instead.)
    pub fn try_call(&self, argument: A) -> Result<F::Output> {
        try_catch(|| self.run_compiled(argument, false))?
    }

    /// Calls the function with an argument whose memory must be used again.
    ///
    /// ```
    /// use jaxnet_autograd::jit;
    /// use jaxnet_tensor::{Tensor, tensor};
    ///
    /// let f = jit(|x: Tensor| x + 1.0);
    /// let x = tensor![1.0, 2.0];
    /// assert!(f.call_strict(x.clone()).is_err()); // `x` is still held
    /// assert_eq!(f.call_strict(x)?.to_vec::<f32>(), [2.0, 3.0]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Also when somebody else still holds a leaf of the argument, which is named.
    pub fn call_strict(&self, argument: A) -> Result<F::Output> {
        try_catch(|| self.run_compiled(argument, true))?
    }

    /// The traced program for such an argument. It takes captured tensors first.
    ///
    /// ```
    /// use jaxnet_autograd::jit;
    /// use jaxnet_tensor::{Tensor, tensor};
    ///
    /// let f = jit(|x: Tensor| (x * 2.0).sin());
    /// assert_eq!(
    ///     f.program(&tensor![1.0, 2.0]).to_string(),
    ///     "{ a:f32[2] ->\n  b:f32[2] = mul a 2.0:f32\n  c:f32[2] = sin b\n  (c) }"
    /// );
    /// ```
    #[track_caller]
    pub fn program(&self, argument: &A) -> Program {
        let (leaves, structure) = tree::flatten(argument);
        self.entry(structure, &leaves).or_raise().program.clone()
    }

    /// How often the function has been traced.
    ///
    /// ```
    /// use jaxnet_autograd::jit;
    /// use jaxnet_tensor::Tensor;
    ///
    /// let f = jit(|x: Tensor| x.sum());
    /// for size in [2, 2, 3] {
    ///     f.call(Tensor::ones([size]));
    /// }
    /// assert_eq!(f.trace_count(), 2);
    /// ```
    pub fn trace_count(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).map.len()
    }

    fn run_compiled(&self, argument: A, strict: bool) -> Result<F::Output> {
        let (leaves, structure) = tree::flatten(&argument);
        drop(argument);
        let entry = self.entry(structure.clone(), &leaves)?;
        let traced = is_staging() || leaves.iter().chain(&entry.captured).any(Tensor::is_traced);
        if !traced {
            check_donated::<F>(&structure, &leaves, strict)?;
        }
        // Leaves are moved, so that those which nobody else holds can be overwritten.
        let captured = entry.captured.len();
        let inputs: Vec<Tensor> = entry.captured.iter().cloned().chain(leaves).collect();
        let results = if traced {
            let call = Control::Call { name: "jit".into(), program: entry.program.clone() };
            bind(&call.into(), &inputs)?.into_vec()
        } else {
            let name = |i: usize| match i.checked_sub(captured) {
                Some(leaf) => structure.name(leaf, "the argument"),
                None => "a captured tensor".into(),
            };
            program::run_named(&entry.program, inputs, &name)?
        };
        tree::unflatten(&entry.out, results)
    }

    fn entry(&self, structure: Structure, leaves: &[Tensor]) -> Result<Arc<Entry>> {
        let avals = leaves.iter().map(|leaf| leaf.aval().clone()).collect();
        let signature = Signature { structure, avals };
        {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = entries.map.get(&signature) {
                return Ok(entry.clone());
            }
            log_cause::<F>(entries.last.as_ref(), &signature);
        }
        // Not under the lock, since the function may call itself.
        let mut out = None;
        let staged = stage(&signature.avals, |values| on_leaves(&self.f, &signature.structure, &mut out, values))?;
        let out = out.expect("the function has run");
        let entry = Arc::new(Entry { program: staged.program, captured: staged.captured, out });
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.last = Some(signature.clone());
        Ok(entries.map.entry(signature).or_insert(entry).clone())
    }
}

/// Looks for leaves whose memory cannot be used again: a mistake where it is strict, else worth a line
/// of the log.
fn check_donated<F>(structure: &Structure, leaves: &[Tensor], strict: bool) -> Result<()> {
    if !strict && !log::log_enabled!(target: "jaxnet::jit", log::Level::Debug) {
        return Ok(());
    }
    for (i, leaf) in leaves.iter().enumerate().filter(|(_, leaf)| leaf.is_shared()) {
        let name = structure.name(i, "the argument");
        let message = format!("{name} ({}) is still held elsewhere, so its memory cannot be used again", leaf.aval());
        if strict {
            return Err(Error::invalid("call_strict", message));
        }
        log::debug!(target: "jaxnet::jit", "calling {}: {message}", std::any::type_name::<F>());
    }
    Ok(())
}

fn log_cause<F>(last: Option<&Signature>, now: &Signature) {
    if !log::log_enabled!(target: "jaxnet::jit", log::Level::Info) {
        return;
    }
    let name = std::any::type_name::<F>();
    let cause = match last {
        None => "first call".to_string(),
        Some(last) if last.structure != now.structure => {
            format!("the argument has another structure: {:?}, not {:?}", now.structure, last.structure)
        }
        Some(last) => {
            let changed = last.avals.iter().zip(&now.avals).enumerate();
            changed
                .filter(|(_, (last, now))| last != now)
                .map(|(i, (last, was))| format!("{} was {last}, is {was}", now.structure.name(i, "the argument")))
                .collect::<Vec<_>>()
                .join(", ")
        }
    };
    log::info!(target: "jaxnet::jit", "tracing {name}: {cause}");
}

impl<A: Tree, F: Function<A>> Function<A> for Jit<F, A>
where
    F::Output: Tree,
{
    type Output = F::Output;

    #[track_caller]
    fn run(&self, argument: A) -> F::Output {
        self.call(argument)
    }
}

/// What the function would return, without computing it: a tree whose tensors have shapes and dtypes,
/// but no values. Only the shapes and dtypes of the argument matter.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::eval_shape;
/// use jaxnet_tensor::Tensor;
///
/// let y = eval_shape(|x: Tensor| x.matmul(x.t()), &Tensor::zeros([3, 4]));
/// assert_eq!(y.shape().dims(), [3, 3]);
/// ```
#[track_caller]
pub fn eval_shape<A: Tree, F: Function<A>>(f: F, argument: &A) -> F::Output
where
    F::Output: Tree,
{
    let (leaves, structure) = tree::flatten(argument);
    let avals: Vec<Aval> = leaves.iter().map(|leaf| leaf.aval().clone()).collect();
    let mut result = None;
    let run = |values: &[Tensor]| {
        result = Some(f.run(tree::unflatten(&structure, values.to_vec())?));
        Ok(Vec::new())
    };
    stage(&avals, run).or_raise();
    result.expect("the function has run")
}
