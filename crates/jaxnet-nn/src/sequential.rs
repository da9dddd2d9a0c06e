//! One module after the other.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Tensor, Tree};

use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Modules in sequence, each taking what the one before gave: see [`sequential!`](crate::sequential!).
///
/// A list is no module; the compiler's message shows the right call, which for lists is `from_iter`:
///
/// ```compile_fail,E0277
/// use jaxnet_nn::prelude::*;
/// let net: Sequential = Sequential::new(vec![Dense::new(4), Dense::new(2)]);
/// ```
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let net = Sequential::from_iter(vec![Dense::new(4), Dense::new(2)]);
/// assert_eq!(net.init_params(Key::new(0), &Tensor::zeros([1, 3])).paths().len(), 4);
/// ```
pub struct Sequential<X = Tensor, Y = Tensor> {
    id: ModuleId,
    #[allow(clippy::type_complexity)]
    run: Arc<dyn Fn(&mut Scope<'_>, &X) -> Y + Send + Sync>,
}

impl<X, Y> Clone for Sequential<X, Y> {
    fn clone(&self) -> Self {
        Sequential { id: self.id, run: self.run.clone() }
    }
}

impl<X: Tree + 'static, Y: Tree + 'static> Sequential<X, Y> {
    /// A sequence of one module.
    pub fn new<M: Module<X, Output = Y>>(first: M) -> Self {
        Sequential { id: ModuleId::new(), run: Arc::new(move |cx, x| cx.call(&first, x)) }
    }

    /// The sequence with one more module.
    pub fn then<Z: Tree + 'static, M: Module<Y, Output = Z>>(self, next: M) -> Sequential<X, Z> {
        let before = self.run;
        Sequential {
            id: self.id,
            run: Arc::new(move |cx, x| {
                let y = before(cx, x);
                cx.call(&next, &y)
            }),
        }
    }

    /// The same modules as another sequence, which shares their parameters wherever both are used.
    pub fn fresh(&self) -> Self {
        Sequential { id: ModuleId::new(), run: self.run.clone() }
    }
}

/// A sequence of modules of one type.
impl<M: Module<Tensor, Output = Tensor>> FromIterator<M> for Sequential<Tensor, Tensor> {
    fn from_iter<I: IntoIterator<Item = M>>(modules: I) -> Self {
        let modules: Vec<M> = modules.into_iter().collect();
        let run = move |cx: &mut Scope<'_>, x: &Tensor| modules.iter().fold(x.clone(), |x, module| cx.call(module, &x));
        Sequential { id: ModuleId::new(), run: Arc::new(run) }
    }
}

impl<X: Tree + 'static, Y: Tree + 'static> Module<X> for Sequential<X, Y> {
    type Output = Y;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> Y {
        (self.run)(cx, x)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("sequential")
    }
}

/// Modules in sequence: layers, plain functions, and other sequences.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = sequential![Conv::new(2, [3, 3]), relu, flatten, Dense::new(4), log_softmax];
/// let x = Tensor::zeros([3, 5, 5, 1]);
/// let params = net.init_params(Key::new(0), &x);
/// assert_eq!(net.apply(&params, &x).shape().dims(), [3, 4]);
/// ```
#[macro_export]
macro_rules! sequential {
    ($first:expr $(, $next:expr)* $(,)?) => {
        $crate::Sequential::new($first)$(.then($next))*
    };
}
