//! What an index is made of.

use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// One entry of an index: what is taken along an axis. See [`Tensor::i`].
#[derive(Clone, Debug)]
pub enum IndexArg {
    /// One element; the axis is dropped. Negative numbers count from the end.
    At(i64),
    /// The elements from `start` until before `stop` in steps of `step`, as Python's
    /// `start:stop:step`.
    Slice {
        /// The first; `None` is the end that the step leads away from.
        start: Option<i64>,
        /// The limit, not included; `None` is beyond the end that the step leads to.
        stop: Option<i64>,
        /// The step, not 0.
        step: i64,
    },
    /// A new axis of size 1.
    NewAxis,
    /// As many whole axes as are left.
    Ellipsis,
    /// The elements at these places, in an integer tensor of any shape.
    Array(Tensor),
}

/// In an index, a new axis of size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewAxis;

/// In an index, as many whole axes as the other entries leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ellipsis;

impl IndexArg {
    /// A whole axis.
    pub(super) const WHOLE: IndexArg = IndexArg::Slice { start: None, stop: None, step: 1 };
}

impl From<NewAxis> for IndexArg {
    fn from(_: NewAxis) -> Self {
        IndexArg::NewAxis
    }
}

impl From<Ellipsis> for IndexArg {
    fn from(_: Ellipsis) -> Self {
        IndexArg::Ellipsis
    }
}

impl From<RangeFull> for IndexArg {
    fn from(_: RangeFull) -> Self {
        IndexArg::WHOLE
    }
}

impl From<Tensor> for IndexArg {
    fn from(places: Tensor) -> Self {
        IndexArg::Array(places)
    }
}

impl From<&Tensor> for IndexArg {
    fn from(places: &Tensor) -> Self {
        IndexArg::Array(places.clone())
    }
}

impl From<&IndexArg> for IndexArg {
    fn from(index: &IndexArg) -> Self {
        index.clone()
    }
}

/// The limit after an included end. The last element, -1, has no number after it.
fn after(end: i64) -> Option<i64> {
    if end == -1 { None } else { Some(end.saturating_add(1)) }
}

macro_rules! integers {
    ($($t:ty)*) => {$(
        impl From<$t> for IndexArg {
            fn from(i: $t) -> Self {
                IndexArg::At(place(i))
            }
        }

        impl From<Range<$t>> for IndexArg {
            fn from(range: Range<$t>) -> Self {
                IndexArg::Slice { start: Some(place(range.start)), stop: Some(place(range.end)), step: 1 }
            }
        }

        impl From<RangeFrom<$t>> for IndexArg {
            fn from(range: RangeFrom<$t>) -> Self {
                IndexArg::Slice { start: Some(place(range.start)), stop: None, step: 1 }
            }
        }

        impl From<RangeTo<$t>> for IndexArg {
            fn from(range: RangeTo<$t>) -> Self {
                IndexArg::Slice { start: None, stop: Some(place(range.end)), step: 1 }
            }
        }

        impl From<RangeInclusive<$t>> for IndexArg {
            fn from(range: RangeInclusive<$t>) -> Self {
                IndexArg::Slice { start: Some(place(*range.start())), stop: after(place(*range.end())), step: 1 }
            }
        }

        impl From<RangeToInclusive<$t>> for IndexArg {
            fn from(range: RangeToInclusive<$t>) -> Self {
                IndexArg::Slice { start: None, stop: after(place(range.end)), step: 1 }
            }
        }
    )*};
}

integers!(i32 i64 isize usize);

/// A place as i64; what does not fit is beyond any axis all the same.
fn place<I: TryInto<i64>>(i: I) -> i64 {
    i.try_into().unwrap_or(i64::MAX)
}

/// Ranges with a step other than 1, as entries of an index.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{Step, Tensor};
///
/// let x = Tensor::range(10);
/// assert_eq!(x.i((1..8).step(3)).to_vec::<i32>(), [1, 4, 7]);
/// assert_eq!(x.i((..).step(-4)).to_vec::<i32>(), [9, 5, 1]);
/// ```
pub trait Step: Into<IndexArg> {
    /// Every so many elements; a negative step goes backwards, from the range's start (the end of the
    /// axis if it has none) until before its end, as Python's slices do.
    ///
    /// # Panics
    ///
    /// If the step is 0, or `self` is no range.
    #[track_caller]
    fn step(self, step: i64) -> IndexArg {
        let slice: Result<IndexArg> = match self.into() {
            _ if step == 0 => Err(Error::invalid("index", "the step of a range must not be 0")),
            IndexArg::Slice { start, stop, step: 1 } => Ok(IndexArg::Slice { start, stop, step }),
            other => Err(Error::invalid("index", format!("a step is for ranges without one, not for {other:?}"))),
        };
        crate::error::OrRaise::or_raise(slice)
    }
}

/// The elements from `start` until before `stop` in steps of `step`, as Python's `start:stop:step`: an
/// entry of an index. It says the same as a range with [`Step::step`], also where a range of numbers
/// would look empty.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{Tensor, s};
///
/// let x = Tensor::range(10);
/// assert_eq!(x.i(s(Some(7), Some(2), -2)).to_vec::<i32>(), [7, 5, 3]);
/// assert_eq!(x.i(s(None, Some(-6), 1)).to_vec::<i32>(), [0, 1, 2, 3]);
/// ```
///
/// # Panics
///
/// If the step is 0.
#[track_caller]
pub fn s(start: Option<i64>, stop: Option<i64>, step: i64) -> IndexArg {
    IndexArg::Slice { start, stop, step: 1 }.step(step)
}

impl Step for IndexArg {}

macro_rules! steps {
    ($($t:ty)*) => {$(
        impl Step for Range<$t> {}
        impl Step for RangeFrom<$t> {}
        impl Step for RangeTo<$t> {}
        impl Step for RangeInclusive<$t> {}
        impl Step for RangeToInclusive<$t> {}
    )*};
}

steps!(i32 i64 isize usize);
impl Step for RangeFull {}

/// An index: one entry, or a tuple, slice or vector of them. See [`Tensor::i`].
pub trait IntoIndex {
    /// The entries.
    fn into_index(self) -> Vec<IndexArg>;
}

macro_rules! single {
    ($($t:ty)*) => {$(
        impl IntoIndex for $t {
            fn into_index(self) -> Vec<IndexArg> {
                vec![self.into()]
            }
        }
    )*};
}

macro_rules! single_integers {
    ($($t:ty)*) => {$(
        single!($t Range<$t> RangeFrom<$t> RangeTo<$t> RangeInclusive<$t> RangeToInclusive<$t>);
    )*};
}

single_integers!(i32 i64 isize usize);
single!(NewAxis Ellipsis RangeFull Tensor &Tensor IndexArg);

impl IntoIndex for &[IndexArg] {
    fn into_index(self) -> Vec<IndexArg> {
        self.to_vec()
    }
}

impl IntoIndex for Vec<IndexArg> {
    fn into_index(self) -> Vec<IndexArg> {
        self
    }
}

/// No entries: the whole tensor.
impl IntoIndex for () {
    fn into_index(self) -> Vec<IndexArg> {
        Vec::new()
    }
}

macro_rules! tuples {
    ($(($($T:ident $x:ident),*);)*) => {$(
        impl<$($T: Into<IndexArg>),*> IntoIndex for ($($T,)*) {
            fn into_index(self) -> Vec<IndexArg> {
                let ($($x,)*) = self;
                vec![$($x.into()),*]
            }
        }
    )*};
}

tuples! {
    (A a);
    (A a, B b);
    (A a, B b, C c);
    (A a, B b, C c, D d);
    (A a, B b, C c, D d, E e);
    (A a, B b, C c, D d, E e, F f);
}
