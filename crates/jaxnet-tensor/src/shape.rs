//! Shapes, axes and the index arithmetic that every layer shares.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// A short list of axes or sizes that seldom needs the heap.
pub type Dims = SmallVec<[usize; 6]>;

/// The sizes of a tensor's axes; the empty shape is that of a scalar.
///
/// It dereferences to a slice, and is made from arrays, slices, vectors and single sizes.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::Shape;
///
/// let shape = Shape::from([2, 3]);
/// assert_eq!(shape.size(), 6);
/// assert_eq!(shape.rank(), 2);
/// assert_eq!(shape.to_string(), "[2, 3]");
/// assert_eq!(Shape::scalar().size(), 1);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(Dims);

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Shape(Dims::new())
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements: 1 for a scalar, 0 where an axis is empty.
    pub fn size(&self) -> usize {
        // Saturating: a shape may be written that no tensor can have, and is then refused by inference.
        self.0.iter().fold(1, |size, &axis| if size == 0 { 0 } else { size.saturating_mul(axis) })
    }

    /// The number of elements, if that can be counted with whatever axes are not empty: `None` where even
    /// the distances between elements would overflow, as hostile files and slips of the hand have it.
    ///
    /// ```
    /// use jaxnet_tensor::Shape;
    /// assert_eq!(Shape::from([0, 3]).checked_size(), Some(0));
    /// assert_eq!(Shape::from([0, usize::MAX, 2]).checked_size(), None);
    /// ```
    pub fn checked_size(&self) -> Option<usize> {
        self.0.iter().try_fold(1_usize, |product, &size| product.checked_mul(size.max(1)))?;
        Some(self.size())
    }

    /// The sizes as a slice.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The sizes, to change in place.
    pub fn dims_mut(&mut self) -> &mut [usize] {
        &mut self.0
    }

    /// The distance, in elements, between neighbours along each axis in row-major order.
    ///
    /// ```
    /// use jaxnet_tensor::Shape;
    /// assert_eq!(Shape::from([2, 3, 4]).strides().as_slice(), &[12, 4, 1]);
    /// ```
    pub fn strides(&self) -> Dims {
        let mut strides = Dims::from_elem(1, self.rank());
        for axis in (0..self.rank().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1].saturating_mul(self.0[axis + 1]);
        }
        strides
    }

    /// This shape with a new axis of `size` at `axis`.
    pub fn with_axis(&self, axis: usize, size: usize) -> Shape {
        let mut dims = self.0.clone();
        dims.insert(axis, size);
        Shape(dims)
    }

    /// This shape without `axis`.
    pub fn without_axis(&self, axis: usize) -> Shape {
        let mut dims = self.0.clone();
        dims.remove(axis);
        Shape(dims)
    }

    /// This shape without `axes`.
    pub fn without_axes(&self, axes: &[usize]) -> Shape {
        self.0.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &size)| size).collect()
    }

    /// The shape that numpy broadcasting gives two operands, if there is one.
    ///
    /// ```
    /// use jaxnet_tensor::Shape;
    /// let a = Shape::from([3, 1]);
    /// assert_eq!(a.broadcast(&Shape::from([4])), Some(Shape::from([3, 4])));
    /// assert_eq!(a.broadcast(&Shape::from([2, 4])), None);
    /// ```
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let mut dims = Dims::from_elem(1, rank);
        for (i, dim) in dims.iter_mut().enumerate() {
            let a = (i + self.rank()).checked_sub(rank).map_or(1, |axis| self.0[axis]);
            let b = (i + other.rank()).checked_sub(rank).map_or(1, |axis| other.0[axis]);
            *dim = if a == b || b == 1 {
                a
            } else if a == 1 {
                b
            } else {
                return None;
            };
        }
        Some(Shape(dims))
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape(Dims::from_slice(&dims))
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape(Dims::from_slice(dims))
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Shape(Dims::from_slice(&dims))
    }
}

impl From<&Vec<usize>> for Shape {
    fn from(dims: &Vec<usize>) -> Self {
        Shape(Dims::from_slice(dims))
    }
}

impl From<Dims> for Shape {
    fn from(dims: Dims) -> Self {
        Shape(dims)
    }
}

impl From<Shape> for Dims {
    fn from(shape: Shape) -> Self {
        shape.0
    }
}

impl From<usize> for Shape {
    fn from(size: usize) -> Self {
        Shape::from([size])
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Shape(dims.into_iter().collect())
    }
}

/// Some axes of a tensor, as the user writes them: `-1`, `[0, 2]`, `..` for all of them.
///
/// Negative axes count from the end, as in numpy.
pub trait IntoAxes {
    /// The axes as written, or `None` for all of them.
    fn into_axes(self) -> Option<SmallVec<[isize; 6]>>;
}

impl IntoAxes for isize {
    fn into_axes(self) -> Option<SmallVec<[isize; 6]>> {
        Some(SmallVec::from_slice(&[self]))
    }
}

impl<const N: usize> IntoAxes for [isize; N] {
    fn into_axes(self) -> Option<SmallVec<[isize; 6]>> {
        Some(SmallVec::from_slice(&self))
    }
}

impl IntoAxes for &[isize] {
    fn into_axes(self) -> Option<SmallVec<[isize; 6]>> {
        Some(SmallVec::from_slice(self))
    }
}

impl IntoAxes for &[usize] {
    fn into_axes(self) -> Option<SmallVec<[isize; 6]>> {
        Some(self.iter().map(|&axis| axis as isize).collect())
    }
}

impl IntoAxes for &Dims {
    fn into_axes(self) -> Option<SmallVec<[isize; 6]>> {
        self.as_slice().into_axes()
    }
}

impl IntoAxes for Vec<isize> {
    fn into_axes(self) -> Option<SmallVec<[isize; 6]>> {
        Some(SmallVec::from_vec(self))
    }
}

impl IntoAxes for std::ops::RangeFull {
    fn into_axes(self) -> Option<SmallVec<[isize; 6]>> {
        None
    }
}

/// The permutation that undoes `permutation`.
pub fn inverse_permutation(permutation: &[usize]) -> Dims {
    let mut inverse = Dims::from_elem(0, permutation.len());
    for (to, &from) in permutation.iter().enumerate() {
        inverse[from] = to;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let broadcast =
            |a: &[usize], b: &[usize]| Shape::from(a).broadcast(&Shape::from(b)).map(|shape| shape.to_vec());
        assert_eq!(broadcast(&[], &[]), Some(vec![]));
        assert_eq!(broadcast(&[], &[0]), Some(vec![0]));
        assert_eq!(broadcast(&[1], &[0]), Some(vec![0]));
        assert_eq!(broadcast(&[2], &[0]), None);
        assert_eq!(broadcast(&[5, 1, 3], &[4, 1]), Some(vec![5, 4, 3]));
    }

    #[test]
    fn strides_of_small_ranks() {
        assert!(Shape::scalar().strides().is_empty());
        assert_eq!(Shape::from([0, 3]).strides().as_slice(), &[3, 1]);
        assert_eq!(inverse_permutation(&[2, 0, 1]).as_slice(), &[1, 2, 0]);
    }
}
