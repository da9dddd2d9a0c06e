//! How transforms see primitives: traced values, and the choice of who handles an operation.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::aval::Aval;
use crate::backend;
use crate::error::{Error, Result};
use crate::primitive::Primitive;
use crate::tensor::Tensor;

/// The results of a primitive, mostly one.
pub type Tensors = SmallVec<[Tensor; 1]>;

/// An interpreter of primitives: what a transform implements.
///
/// Its traced values are tensors that carry something of its own (a tangent, a batch axis, a
/// variable). [`bind`] hands it each operation that has such a value among its operands, unless a more
/// recent trace has one as well.
pub trait Trace: Send + Sync {
    /// Handles an operation. Operands may be its own values, or values of older traces and plain
    /// arrays, which are constants to it.
    ///
    /// # Errors
    ///
    /// When the operation does not take such operands, or the transform does not apply to it.
    fn bind(&self, this: &TraceRef, primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors>;

    /// What the transform is called in messages.
    fn name(&self) -> &'static str;
}

/// A running trace. Later ones nest inside earlier ones.
#[derive(Clone)]
pub struct TraceRef(Arc<TraceInner>);

struct TraceInner {
    /// Increases with each trace, which is how nested traces are told apart.
    level: u64,
    open: AtomicBool,
    trace: Box<dyn Trace>,
}

impl TraceRef {
    /// Starts a trace; it ends when the guard is dropped.
    pub fn start(trace: impl Trace + 'static) -> TraceGuard {
        static LEVEL: AtomicU64 = AtomicU64::new(0);
        let level = LEVEL.fetch_add(1, Ordering::Relaxed);
        TraceGuard(TraceRef(Arc::new(TraceInner { level, open: AtomicBool::new(true), trace: Box::new(trace) })))
    }

    /// A value of this trace.
    pub fn value(&self, aval: Aval, payload: impl Any + Send + Sync) -> Tensor {
        Tensor::from_traced(Traced { aval, trace: self.clone(), payload: Box::new(payload) })
    }

    /// What a value of this trace carries; `None` for other values.
    pub fn payload<'a, T: Any>(&self, value: &'a Tensor) -> Option<&'a T> {
        let traced = value.traced()?;
        if !Arc::ptr_eq(&traced.trace.0, &self.0) {
            return None;
        }
        traced.payload.downcast_ref()
    }

    fn bind(&self, primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors> {
        if !self.0.open.load(Ordering::Relaxed) {
            return Err(Error::Trace(format!(
                "{primitive}: an operand is a traced value of a {} that has ended; return values from the \
                 traced function instead of storing them elsewhere",
                self.0.trace.name()
            )));
        }
        self.0.trace.bind(self, primitive, inputs)
    }
}

/// Ends a trace when dropped, so that values that escaped it are noticed.
pub struct TraceGuard(TraceRef);

impl TraceGuard {
    /// The trace.
    pub fn trace(&self) -> &TraceRef {
        &self.0
    }
}

impl Drop for TraceGuard {
    fn drop(&mut self) {
        self.0.0.open.store(false, Ordering::Relaxed);
    }
}

/// A tensor's value while a transform runs.
pub struct Traced {
    pub(crate) aval: Aval,
    pub(crate) trace: TraceRef,
    payload: Box<dyn Any + Send + Sync>,
}

impl Traced {
    /// What the transform is called that made it.
    pub fn transform(&self) -> &'static str {
        self.trace.0.trace.name()
    }
}

impl fmt::Debug for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Traced<{}, {} {}>", self.aval, self.transform(), self.trace.0.level)
    }
}

thread_local! {
    /// The programs that are being staged on this thread, innermost last.
    static STAGED: RefCell<Vec<TraceRef>> = const { RefCell::new(Vec::new()) };
}

/// Makes a trace handle everything that runs on this thread, operands or not, until it is dropped.
pub(crate) struct StagedGuard(());

impl StagedGuard {
    pub(crate) fn enter(trace: &TraceRef) -> Self {
        STAGED.with_borrow_mut(|staged| staged.push(trace.clone()));
        StagedGuard(())
    }
}

impl Drop for StagedGuard {
    fn drop(&mut self) {
        STAGED.with_borrow_mut(|staged| staged.pop());
    }
}

/// Whether a program is being staged on this thread, so that every operation becomes part of it.
pub fn is_staging() -> bool {
    STAGED.with_borrow(|staged| !staged.is_empty())
}

/// Hands a primitive to the most recent trace among its operands' and the one being staged on this
/// thread, or to the operands' device.
///
/// # Errors
///
/// When the primitive does not take such operands, or the transform does not apply to it.
pub fn bind(primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors> {
    let mut top: Option<&TraceRef> = None;
    for input in inputs {
        if let Some(traced) = input.traced()
            && top.is_none_or(|top| traced.trace.0.level > top.0.level)
        {
            top = Some(&traced.trace);
        }
    }
    let staged = STAGED.with_borrow(|staged| {
        staged.last().filter(|staged| top.is_none_or(|top| staged.0.level > top.0.level)).cloned()
    });
    match staged.as_ref().or(top) {
        Some(trace) => trace.bind(primitive, inputs),
        None => backend::execute(primitive, inputs),
    }
}

/// The one result of [`bind`].
///
/// # Errors
///
/// As [`bind`].
pub fn bind1(primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensor> {
    let mut results = bind(primitive, inputs)?;
    debug_assert_eq!(results.len(), 1, "{primitive} has one result");
    Ok(results.pop().expect("a primitive with one result"))
}
