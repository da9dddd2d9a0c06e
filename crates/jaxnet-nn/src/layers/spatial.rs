//! What convolutions and pooling share: inputs of shape [batch.., spatial.., channels] and padding.

use jaxnet_tensor::{Dims, Shape, Tensor};

use crate::scope::Scope;

/// How far windows reach over the edges of an input.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let x = Tensor::ones([5, 1]);
/// let size = |pool: MaxPool| pool.apply(&Params::empty(), &x).dim(0);
/// assert_eq!(size(MaxPool::new([3])), 3); // `Padding::Valid`
/// assert_eq!(size(MaxPool::new([3]).padding(Padding::Same)), 5);
/// assert_eq!(size(MaxPool::new([3]).padding([(1, 2)])), 6);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// Not at all: only whole windows count.
    Valid,
    /// So that there is an output for every input, or for every `stride` inputs; an odd one more is padded at
    /// the end.
    Same,
    /// So many places before and after, for each spatial axis.
    Explicit(Vec<(usize, usize)>),
}

impl<const N: usize> From<[(usize, usize); N]> for Padding {
    fn from(padding: [(usize, usize); N]) -> Self {
        Padding::Explicit(padding.to_vec())
    }
}

impl From<Vec<(usize, usize)>> for Padding {
    fn from(padding: Vec<(usize, usize)>) -> Self {
        Padding::Explicit(padding)
    }
}

/// How windows slide over the spatial axes of an input.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    pub size: Dims,
    pub strides: Dims,
    pub dilation: Dims,
    pub padding: Padding,
}

/// Windows laid out for one input.
pub(super) struct Layout {
    /// The axes before the spatial ones.
    pub batch: Shape,
    pub padding: Vec<(i64, i64)>,
}

impl Windows {
    pub fn new(size: &[usize]) -> Self {
        let ones = Dims::from_elem(1, size.len());
        Windows { size: size.into(), strides: ones.clone(), dilation: ones, padding: Padding::Valid }
    }

    /// Lays the windows out, or says what is wrong with them or the input.
    #[track_caller]
    pub fn layout(&self, cx: &Scope<'_>, kind: &str, x: &Tensor) -> Layout {
        match self.lay_out(x) {
            Ok(layout) => layout,
            Err(message) => cx.fail(kind, message),
        }
    }

    fn lay_out(&self, x: &Tensor) -> Result<Layout, String> {
        let (batch, rest) = x.shape().split_at(self.batch_axes(x)?);
        Ok(Layout { batch: batch.into(), padding: self.pad(&rest[..rest.len() - 1])? })
    }

    /// How many axes of an input come before the spatial ones.
    pub fn batch_axes(&self, x: &Tensor) -> Result<usize, String> {
        let rank = self.check()?;
        if x.rank() < rank + 1 {
            let wanted = if rank == 1 { "1 spatial axis".to_string() } else { format!("{rank} spatial axes") };
            return Err(format!(
                "windows {:?} need an input of {wanted} and then channels, after any batch axes; got shape {} \
                 (`expand_dims(-1)` adds an axis of one channel)",
                self.size,
                x.shape()
            ));
        }
        Ok(x.rank() - rank - 1)
    }

    /// The number of spatial axes, if the windows make sense in themselves.
    pub fn check(&self) -> Result<usize, String> {
        let rank = self.size.len();
        for (what, sizes) in [("a window", &self.size), ("strides", &self.strides), ("a dilation", &self.dilation)] {
            if sizes.len() != rank || sizes.contains(&0) {
                return Err(format!(
                    "{what} of {sizes:?} does not fit windows {:?}: there must be one number for each spatial axis, at \
                     least 1",
                    self.size
                ));
            }
        }
        if rank == 0 {
            return Err("needs windows of at least one spatial axis".into());
        }
        Ok(rank)
    }

    /// How far each window reaches: its size with the holes.
    pub fn span(&self) -> Dims {
        self.size.iter().zip(&self.dilation).map(|(&size, &by)| (size - 1) * by + 1).collect()
    }

    /// The padding of spatial axes of these sizes.
    pub fn pad(&self, spatial: &[usize]) -> Result<Vec<(i64, i64)>, String> {
        let rank = self.size.len();
        let span = self.span();
        let padding = self.padding_or(|axis| {
            let places = spatial[axis].div_ceil(self.strides[axis]);
            let needed = places.saturating_sub(1) * self.strides[axis] + span[axis];
            let total = if places == 0 { 0 } else { needed.saturating_sub(spatial[axis]) };
            (total / 2, total - total / 2)
        })?;
        for axis in 0..rank {
            let padded = spatial[axis] as i64 + padding[axis].0 + padding[axis].1;
            if spatial[axis] > 0 && padded < span[axis] as i64 {
                return Err(format!(
                    "windows {:?}{} do not fit into spatial axes {spatial:?} (padding {padding:?}); use \
                     `.padding(Padding::Same)` or smaller windows",
                    self.size,
                    if self.dilation.iter().any(|&by| by != 1) {
                        format!(" (dilation {:?})", self.dilation)
                    } else {
                        String::new()
                    },
                ));
            }
        }
        Ok(padding)
    }

    /// The padding for each spatial axis, with `same` for [`Padding::Same`].
    pub fn padding_or(&self, same: impl Fn(usize) -> (usize, usize)) -> Result<Vec<(i64, i64)>, String> {
        let rank = self.size.len();
        let pairs = match &self.padding {
            Padding::Valid => vec![(0, 0); rank],
            Padding::Same => (0..rank).map(same).collect(),
            Padding::Explicit(padding) if padding.len() == rank => padding.clone(),
            Padding::Explicit(padding) => {
                return Err(format!(
                    "padding {padding:?} must have one pair for each spatial axis of windows {:?}",
                    self.size
                ));
            }
        };
        Ok(pairs.into_iter().map(|(low, high)| (low as i64, high as i64)).collect())
    }
}
