//! The QR decomposition, by Householder's reflections in blocks.
//!
//! Matrices are kept transposed here, each column one piece of memory. Products of reflections are `I - V T Vᵀ`
//! (Schreiber and Van Loan 1989), whose parts are put together recursively (Elmroth and Gustavson 2000).

use super::{Block, Real, add_times, dot, largest, product, transpose_into, transposed, whole};
use crate::backend::cpu::gemm::gemm;

/// Up to so many columns are reflected one by one.
const SMALL: usize = 8;

/// Decomposes a row-major `m × n` matrix.
pub(super) fn qr<T: Real>(a: &[T], m: usize, n: usize, full: bool, q: &mut [T], r: &mut [T]) {
    let k = m.min(n);
    let mut columns = transposed(a, m, n);
    let (left, right) = columns.split_at_mut(k * m);
    let reflections = factor(left, m, m, k);
    reflections.apply(right, m, n - k);

    let rows = if full { m } else { k };
    let mut orthogonal = reflections.orthogonal(rows);
    for j in 0..k {
        if columns[j * m + j] < T::zero() {
            orthogonal[j * m..(j + 1) * m].iter_mut().for_each(|x| *x = -*x);
            columns[j * m..].chunks_mut(m).for_each(|column| column[j] = -column[j]);
        }
    }
    transpose_into(&orthogonal, rows, m, q);
    r.fill(T::zero());
    for (j, column) in columns.chunks(m.max(1)).enumerate().take(n) {
        for (i, x) in column[..k.min(j + 1)].iter().enumerate() {
            r[i * n + j] = *x;
        }
    }
}

/// Reflections one after the other, of vectors with `m` elements.
struct Reflections<T> {
    m: usize,
    count: usize,
    /// The vectors that are reflected, in rows: zeros, a one, anything.
    v: Vec<T>,
    /// The upper triangular `T`.
    t: Vec<T>,
}

/// Makes the `n` columns, each of `m` elements and `stride` apart, upper triangular.
fn factor<T: Real>(a: &mut [T], stride: usize, m: usize, n: usize) -> Reflections<T> {
    if n <= SMALL {
        return reflect(a, stride, m, n);
    }
    let half = n / 2;
    let rest = n - half;
    let (left, right) = a.split_at_mut(half * stride);
    let first = factor(left, stride, m, half);
    first.apply(right, stride, rest);
    let second = factor(&mut right[half..], stride, m - half, rest);

    let mut v = first.v;
    v.resize(n * m, T::zero());
    for (i, row) in second.v.chunks(m - half).enumerate() {
        v[(half + i) * m + half..][..m - half].copy_from_slice(row);
    }
    // T's upper right corner is -T₁ V₁ᵀ V₂ T₂.
    let cross = product(
        Block { offset: half, stride: m, rows: half, columns: m - half }.of(&v),
        whole(rest, m - half).of(&second.v).t(),
        half,
        rest,
    );
    let cross = product(whole(half, half).of(&first.t), whole(half, rest).of(&cross), half, rest);
    let cross = product(whole(half, rest).of(&cross), whole(rest, rest).of(&second.t), half, rest);
    let mut t = vec![T::zero(); n * n];
    for i in 0..half {
        t[i * n..][..half].copy_from_slice(&first.t[i * half..][..half]);
        for (x, y) in t[i * n + half..][..rest].iter_mut().zip(&cross[i * rest..]) {
            *x = -*y;
        }
    }
    for i in 0..rest {
        t[(half + i) * n + half..][..rest].copy_from_slice(&second.t[i * rest..][..rest]);
    }
    Reflections { m, count: n, v, t }
}

/// The same column by column.
fn reflect<T: Real>(a: &mut [T], stride: usize, m: usize, n: usize) -> Reflections<T> {
    let mut v = vec![T::zero(); n * m];
    let mut t = vec![T::zero(); n * n];
    for j in 0..n {
        // The last column may end before the next one would start.
        let mut columns = a[j * stride..].chunks_mut(stride).take(n - j);
        let column = columns.next().expect("the j-th of n columns");
        let (vector, scale) = householder(&mut column[j..m]);
        for other in columns {
            let other = &mut other[j..m];
            let along = dot(&vector, other) * scale;
            add_times(other, -along, &vector);
        }
        v[j * m + j..][..m - j].copy_from_slice(&vector);
        t[j * n + j] = scale;
        // The new column of T is -scale T Vᵀ v.
        let products: Vec<T> = (0..j).map(|i| dot(&v[i * m + j..][..m - j], &vector)).collect();
        for i in 0..j {
            t[i * n + j] = -scale * dot(&t[i * n + i..][..j - i], &products[i..]);
        }
    }
    Reflections { m, count: n, v, t }
}

/// Makes all of `x` but its first element 0 by the reflection `I - scale v vᵀ`, whose `v` and `scale` it gives. (The
/// zeros are left for others to write.)
pub(super) fn householder<T: Real>(x: &mut [T]) -> (Vec<T>, T) {
    if x[1..].iter().all(|x| *x == T::zero()) {
        let first = |i: usize| if i == 0 { T::one() } else { T::zero() };
        return ((0..x.len()).map(first).collect(), T::zero());
    }
    // Scaled, so that squares neither overflow nor vanish.
    let largest = largest(x.iter().copied());
    let mut v: Vec<T> = x.iter().map(|x| *x / largest).collect();
    let (first, norm) = (v[0], dot(&v, &v).sqrt());
    let new = if first < T::zero() { norm } else { -norm };
    v.iter_mut().for_each(|x| *x /= first - new);
    v[0] = T::one();
    x[0] = new * largest;
    (v, (new - first) / new)
}

impl<T: Real> Reflections<T> {
    fn vectors(&self) -> Block {
        whole(self.count, self.m)
    }

    /// Reflects each of these columns, from the first reflection on.
    fn apply(&self, columns: &mut [T], stride: usize, count: usize) {
        if count == 0 || self.count == 0 || self.m == 0 {
            return;
        }
        let (k, at) = (self.count, Block { offset: 0, stride, rows: count, columns: self.m });
        let along = product(at.of(columns), self.vectors().of(&self.v).t(), count, k);
        let along = product(whole(count, k).of(&along), whole(k, k).of(&self.t), count, k);
        let along = whole(count, k).negated(&along);
        gemm(whole(count, k).of(&along), self.vectors().of(&self.v), at.of_mut(columns), true, None);
    }

    /// The first columns of the product of all reflections.
    fn orthogonal(&self, count: usize) -> Vec<T> {
        let (k, m) = (self.count, self.m);
        let mut q = vec![T::zero(); count * m];
        (0..count).for_each(|i| q[i * m + i] = T::one());
        if k > 0 && count > 0 {
            let first = Block { columns: count, ..self.vectors() };
            let along = product(first.of(&self.v).t(), whole(k, k).of(&self.t).t(), count, k);
            let along = whole(count, k).negated(&along);
            gemm(whole(count, k).of(&along), self.vectors().of(&self.v), whole(count, m).of_mut(&mut q), true, None);
        }
        q
    }
}
