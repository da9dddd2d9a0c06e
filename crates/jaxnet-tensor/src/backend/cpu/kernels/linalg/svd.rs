//! Singular values, by Jacobi's rotations of pairs of columns until all are orthogonal (Hestenes 1958).
//!
//! That is as accurate as it gets, small singular values included, and needs no special cases for those that are 0
//! or equal. What it takes is time, so that large matrices are first brought close to the result by the
//! eigenvectors of `AᵀA`.

use super::eigh::{eigh, sign_of};
use super::{Real, dot, largest, product, qr, transpose_into, transposed, whole};
use crate::dtype::Element;

/// From this size on eigenvectors save more time than they take.
const LARGE: usize = 24;
/// Mostly it takes less than ten.
const SWEEPS: usize = 60;

/// Singular values from the greatest on, and `u` and `vt`.
pub(super) fn svd<T: Real>(
    a: &[T],
    m: usize,
    n: usize,
    full: bool,
    s: &mut [T],
    vectors: Option<(&mut [T], &mut [T])>,
) {
    if m < n {
        // The transpose's, where the two lists of vectors change places.
        let a = transposed(a, m, n);
        let Some((u, vt)) = vectors else {
            return svd(&a, n, m, full, s, None);
        };
        let (mut v, mut ut) = (vec![T::zero(); vt.len()], vec![T::zero(); u.len()]);
        svd(&a, n, m, full, s, Some((&mut v, &mut ut)));
        transpose_into(&ut, m, m, u);
        transpose_into(&v, n, if full { n } else { m }, vt);
        return normalize(u, m, vt, n, m);
    }
    if !a.iter().all(|x| x.is_finite()) {
        s.fill(T::nan());
        if let Some((u, vt)) = vectors {
            u.fill(T::nan());
            vt.fill(T::nan());
        }
        return;
    }
    let Some((u, vt)) = vectors else {
        let r = if m == n { a.to_vec() } else { triangular(a, m, n, false).1 };
        Columns::of(&r, n, false).into_values(s);
        return;
    };
    let columns = if full { m } else { n };
    if m == n {
        let found = Columns::of(a, n, true).into_values(s);
        found.write(s, n, u, vt);
    } else {
        // Of a tall matrix what is upper triangular is decomposed.
        let (q, r) = triangular(a, m, n, full);
        let found = Columns::of(&r, n, true).into_values(s);
        let mut small = vec![T::zero(); n * n];
        found.write(s, n, &mut small, vt);
        u.copy_from_slice(&q);
        let thin: Vec<T> = q.chunks(columns.max(1)).flat_map(|row| row[..n].to_vec()).collect();
        let rotated = product(whole(m, n).of(&thin), whole(n, n).of(&small), m, n);
        for (to, from) in u.chunks_mut(columns.max(1)).zip(rotated.chunks(n.max(1))) {
            to[..n].copy_from_slice(from);
        }
    }
    normalize(u, m, vt, n, n);
}

/// The QR decomposition of a tall matrix, `R` without its rows of zeros.
fn triangular<T: Real>(a: &[T], m: usize, n: usize, full: bool) -> (Vec<T>, Vec<T>) {
    let columns = if full { m } else { n };
    let (mut q, mut r) = (vec![T::zero(); m * columns], vec![T::zero(); columns * n]);
    qr::qr(a, m, n, full, &mut q, &mut r);
    r.truncate(n * n);
    (q, r)
}

/// Columns of an `n × n` matrix, one after the other, that come to be orthogonal; those of what they are multiplied by
/// for that, if wanted; and by what the matrix was divided.
struct Columns<T> {
    n: usize,
    x: Vec<T>,
    v: Option<Vec<T>>,
    scale: T,
}

impl<T: Real> Columns<T> {
    fn of(a: &[T], n: usize, vectors: bool) -> Self {
        let largest = largest(a.iter().copied());
        // So that squares do not overflow.
        let scale = if largest > T::zero() { largest } else { T::one() };
        let mut x = transposed(a, n, n);
        x.iter_mut().for_each(|x| *x /= scale);
        let mut v = None;
        if n >= LARGE {
            let gram = product(whole(n, n).of(&x), whole(n, n).of(&x).t(), n, n);
            let (mut start, mut values) = (vec![T::zero(); n * n], vec![T::zero(); n]);
            eigh(&gram, n, true, &mut start, &mut values);
            // From the greatest on.
            start.chunks_mut(n).for_each(<[T]>::reverse);
            if start.iter().all(|x| x.is_finite()) {
                x = product(whole(n, n).of(&start).t(), whole(n, n).of(&x), n, n);
                v = vectors.then(|| transposed(&start, n, n));
            }
        }
        let identity = || (0..n * n).map(|i| if i % (n + 1) == 0 { T::one() } else { T::zero() }).collect();
        let v = if vectors { v.or_else(|| Some(identity())) } else { None };
        let mut columns = Columns { n, x, v, scale };
        for _ in 0..SWEEPS {
            if !columns.sweep() {
                break;
            }
        }
        columns
    }

    /// Makes each pair orthogonal in turn; whether any was not.
    fn sweep(&mut self) -> bool {
        let n = self.n;
        let tolerance = T::epsilon() * <T as Element>::from_f64((n as f64).sqrt());
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let (first, second) = pair(&mut self.x, n, p, q);
                let (alpha, beta, gamma) = (dot(first, first), dot(second, second), dot(first, second));
                if gamma.abs() <= tolerance * alpha.sqrt() * beta.sqrt() || alpha.min(beta) <= nothing() {
                    // The longer one goes first, which is the order of the result.
                    if alpha < beta {
                        first.swap_with_slice(second);
                        if let Some(v) = &mut self.v {
                            let (first, second) = pair(v, n, p, q);
                            first.swap_with_slice(second);
                        }
                    }
                    continue;
                }
                rotated = true;
                let zeta = (beta - alpha) / (gamma + gamma);
                let size = zeta.abs() + (T::one() + zeta * zeta).sqrt();
                let tangent = if zeta < T::zero() { -T::one() / size } else { T::one() / size };
                let cosine = T::one() / (T::one() + tangent * tangent).sqrt();
                let sine = cosine * tangent;
                // The columns' lengths are alpha - t·gamma and beta + t·gamma then, squared.
                let exchange = alpha - tangent * gamma < beta + tangent * gamma;
                rotate(first, second, cosine, sine, exchange);
                if let Some(v) = &mut self.v {
                    let (first, second) = pair(v, n, p, q);
                    rotate(first, second, cosine, sine, exchange);
                }
            }
        }
        rotated
    }

    /// Writes the singular values, which are the columns' lengths.
    fn into_values(self, s: &mut [T]) -> Self {
        let mut lengths: Vec<(T, usize)> = (0..self.n)
            .map(|j| {
                let column = &self.x[j * self.n..(j + 1) * self.n];
                let square = dot(column, column);
                (if square <= nothing() { T::zero() } else { square.sqrt() }, j)
            })
            .collect();
        lengths.sort_by(|a, b| Element::to_f64(b.0).total_cmp(&Element::to_f64(a.0)));
        let arranged = |from: &[T]| -> Vec<T> {
            lengths.iter().flat_map(|(_, j)| from[j * self.n..(j + 1) * self.n].to_vec()).collect()
        };
        let (mut x, v) = (arranged(&self.x), self.v.as_deref().map(arranged));
        for ((length, _), column) in lengths.iter().zip(x.chunks_mut(self.n.max(1))) {
            if *length > T::zero() {
                column.iter_mut().for_each(|x| *x /= *length);
            }
        }
        for (s, (length, _)) in s.iter_mut().zip(&lengths) {
            *s = *length * self.scale;
        }
        Columns { x, v, ..self }
    }

    /// Writes `u` and `vt`, of which the former's columns for singular values of 0 are chosen here.
    fn write(self, s: &[T], n: usize, u: &mut [T], vt: &mut [T]) {
        transpose_into(&self.x, n, n, u);
        let rank = s.iter().take_while(|s| **s > T::zero()).count();
        if rank < n {
            let first: Vec<T> = u.chunks(n).flat_map(|row| row[..rank].to_vec()).collect();
            let mut rest = vec![T::zero(); n * rank];
            let mut all = vec![T::zero(); n * n];
            qr::qr(&first, n, rank, true, &mut all, &mut rest);
            for (to, from) in u.chunks_mut(n.max(1)).zip(all.chunks(n.max(1))) {
                to[rank..].copy_from_slice(&from[rank..]);
            }
        }
        if let Some(v) = self.v {
            vt.copy_from_slice(&v);
        }
    }
}

/// Squares of lengths up to this have lost digits; the lengths are nothing beside the largest element, which is 1.
fn nothing<T: Real>() -> T {
    T::min_positive_value() / T::epsilon()
}

fn pair<T>(x: &mut [T], n: usize, p: usize, q: usize) -> (&mut [T], &mut [T]) {
    let (left, right) = x.split_at_mut(q * n);
    (&mut left[p * n..(p + 1) * n], &mut right[..n])
}

/// Rotates two vectors, and exchanges them or not.
fn rotate<T: Real>(x: &mut [T], y: &mut [T], cosine: T, sine: T, exchange: bool) {
    for (x, y) in x.iter_mut().zip(y) {
        let (first, second) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
        (*x, *y) = if exchange { (second, first) } else { (first, second) };
    }
}

/// Chooses the signs of the first `k` columns of `u`, with `rows` rows, and of the rows of `vt`.
fn normalize<T: Real>(u: &mut [T], rows: usize, vt: &mut [T], n: usize, k: usize) {
    let columns = u.len().checked_div(rows).unwrap_or(0);
    for j in 0..k {
        let column = (0..rows).map(|i| u[i * columns + j]);
        if sign_of(column) < T::zero() {
            (0..rows).for_each(|i| u[i * columns + j] = -u[i * columns + j]);
            vt[j * n..(j + 1) * n].iter_mut().for_each(|x| *x = -*x);
        }
    }
}
