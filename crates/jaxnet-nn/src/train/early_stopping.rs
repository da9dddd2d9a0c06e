//! Knowing when to stop.

use jaxnet_tensor::{DType, Tensor, Tree};

/// Says when a number that should fall, such as the loss on held-out data, has not done so for a while.
///
/// It is a tree, to be saved with the rest of the state of training.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::train::EarlyStopping;
///
/// let mut watch = EarlyStopping::new(2).min_delta(0.01);
/// let mut best = None;
/// for (epoch, loss) in [0.9, 0.5, 0.499, 0.45, 0.46, 0.47, 0.2].into_iter().enumerate() {
///     if watch.update(loss) {
///         best = Some(epoch); // the parameters to keep
///     }
///     if watch.should_stop() {
///         break;
///     }
/// }
/// assert_eq!(best, Some(3));
/// assert_eq!(watch.best(), 0.45);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct EarlyStopping {
    patience: Tensor,
    min_delta: Tensor,
    best: Tensor,
    waited: Tensor,
}

impl EarlyStopping {
    /// Stops after so many updates in a row that brought nothing better, at least one.
    pub fn new(patience: usize) -> EarlyStopping {
        EarlyStopping {
            patience: Tensor::scalar(patience.max(1) as i64),
            min_delta: Tensor::scalar(0_f64),
            best: Tensor::scalar(f64::INFINITY),
            waited: Tensor::scalar(0_i64),
        }
    }

    /// Better is only what is better by more than this.
    pub fn min_delta(self, delta: f64) -> Self {
        EarlyStopping { min_delta: Tensor::scalar(delta), ..self }
    }

    /// Takes note of a number, for which smaller is better, and says whether it is the best so far. One that is
    /// not a number never is.
    pub fn update(&mut self, value: f64) -> bool {
        // Whatever is finite is better than nothing.
        let better = value < self.best() - self.min_delta.item::<f64>();
        if better {
            self.best = Tensor::scalar(value);
        }
        self.waited = Tensor::scalar(if better { 0 } else { self.waited.item::<i64>() + 1 });
        better
    }

    /// Whether it is time to stop.
    pub fn should_stop(&self) -> bool {
        self.waited.item::<i64>() >= self.patience.item::<i64>()
    }

    /// The best number so far; infinity before there is one.
    pub fn best(&self) -> f64 {
        self.best.astype(DType::F64).item()
    }
}
