//! Eigenvalues of symmetric matrices: Householder's reflections make them tridiagonal, and the QL method with implicit
//! shifts diagonal (Bowdler, Martin, Reinsch and Wilkinson 1968; EISPACK's `tred2` and `tql2`).

use super::qr::householder;
use super::{Real, add_times, dot, largest, transposed};
use crate::dtype::Element;

/// Mostly an eigenvalue takes two; after so many steps nothing is going to converge.
const STEPS: usize = 100;

/// Eigenvectors in `v`'s columns, and eigenvalues from the least on.
pub(super) fn eigh<T: Real>(a: &[T], n: usize, lower: bool, v: &mut [T], w: &mut [T]) {
    // Symmetric, and scaled so that squares do not overflow.
    let element = |i: usize, j: usize| if (i > j) == lower { a[i * n + j] } else { a[j * n + i] };
    let mut matrix: Vec<T> = (0..n * n).map(|i| element(i / n, i % n)).collect();
    let finite = matrix.iter().all(|x| x.is_finite());
    let scale = match largest(matrix.iter().copied()) {
        largest if largest > T::zero() => largest,
        _ => T::one(),
    };
    matrix.iter_mut().for_each(|x| *x /= scale);
    let converged = finite && {
        let (mut diagonal, mut beside, vectors) = tridiagonal(matrix, n);
        // Transposed, so that what is rotated are rows.
        let mut vectors = transposed(&vectors, n, n);
        let converged = diagonalize(&mut diagonal, &mut beside, &mut vectors);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| Element::to_f64(diagonal[i]).total_cmp(&Element::to_f64(diagonal[j])));
        for (j, &from) in order.iter().enumerate() {
            w[j] = diagonal[from] * scale;
            let row = &vectors[from * n..(from + 1) * n];
            let sign = sign_of(row.iter().copied());
            row.iter().enumerate().for_each(|(i, x)| v[i * n + j] = *x * sign);
        }
        converged
    };
    if !converged {
        v.fill(T::nan());
        w.fill(T::nan());
    }
}

/// By what a vector is multiplied so that the first of its elements that is at least half as large as the largest is
/// positive. (The largest itself would be another one after a little rounding, where several are as large.)
pub(super) fn sign_of<T: Real>(x: impl Iterator<Item = T> + Clone) -> T {
    let largest = largest(x.clone());
    let mut large = x.filter(|x| x.abs() + x.abs() >= largest);
    if large.next().is_some_and(|x| x < T::zero()) { -T::one() } else { T::one() }
}

/// The diagonal and what is beside it, with a 0 at the end, of a tridiagonal matrix `Qᵀ A Q`, and `Q`.
fn tridiagonal<T: Real>(mut a: Vec<T>, n: usize) -> (Vec<T>, Vec<T>, Vec<T>) {
    let mut beside = vec![T::zero(); n];
    let mut reflections: Vec<(Vec<T>, T)> = Vec::new();
    for k in 0..n.saturating_sub(1) {
        let (above, below) = a.split_at_mut((k + 1) * n);
        let row = &mut above[k * n + k + 1..];
        let (v, scale) = householder(row);
        beside[k] = row[0];
        // A - v wᵀ - w vᵀ, with w = scale (A v - scale/2 (vᵀ A v) v).
        let mut w: Vec<T> = below.chunks(n).map(|row| dot(&row[k + 1..], &v) * scale).collect();
        let half = dot(&w, &v) * scale / (T::one() + T::one());
        add_times(&mut w, -half, &v);
        for (row, (x, y)) in below.chunks_mut(n).zip(v.iter().zip(&w)) {
            add_times(&mut row[k + 1..], -*x, &w);
            add_times(&mut row[k + 1..], -*y, &v);
        }
        reflections.push((v, scale));
    }
    let diagonal = (0..n).map(|i| a[i * n + i]).collect();
    let mut q = vec![T::zero(); n * n];
    (0..n).for_each(|i| q[i * n + i] = T::one());
    // From the last on, since that changes a corner alone.
    for (k, (v, scale)) in reflections.into_iter().enumerate().rev() {
        let corner = &mut q[(k + 1) * n..];
        let mut along = vec![T::zero(); n - k - 1];
        for (row, x) in corner.chunks(n).zip(&v) {
            add_times(&mut along, *x * scale, &row[k + 1..]);
        }
        for (row, x) in corner.chunks_mut(n).zip(&v) {
            add_times(&mut row[k + 1..], -*x, &along);
        }
    }
    (diagonal, beside, q)
}

/// Makes a tridiagonal matrix diagonal, and rotates the rows of `vectors`. Whether that came to an end.
fn diagonalize<T: Real>(d: &mut [T], e: &mut [T], vectors: &mut [T]) -> bool {
    let n = d.len();
    let nothing = T::min_positive_value() / T::epsilon();
    let mut shift = T::zero();
    let mut size = T::zero();
    for l in 0..n {
        size = size.max(d[l].abs() + e[l].abs());
        let small = |e: T| e.abs() <= T::epsilon() * size;
        let Some(m) = (l..n).find(|&m| small(e[m])) else { return false };
        let mut steps = 0;
        while m > l && !small(e[l]) {
            steps += 1;
            if steps > STEPS {
                return false;
            }
            // Wilkinson's shift.
            let before = d[l];
            let p = (d[l + 1] - before) / (e[l] + e[l]);
            let r = p.hypot(T::one()).copysign(p);
            (d[l], d[l + 1]) = (e[l] / (p + r), e[l] * (p + r));
            let next = d[l + 1];
            let by = before - d[l];
            d[l + 2..].iter_mut().for_each(|x| *x -= by);
            shift += by;

            let second = e[l + 1];
            let mut p = d[m];
            let (mut c, mut c2, mut c3) = (T::one(), T::one(), T::one());
            let (mut s, mut s2) = (T::zero(), T::zero());
            for i in (l..m).rev() {
                (c3, c2, s2) = (c2, c, s);
                let (g, h) = (c * e[i], c * p);
                let r = p.hypot(e[i]);
                e[i + 1] = s * r;
                // Where what is to be rotated is next to nothing its quotients have no digits left, so that they would
                // not be a rotation; any does then.
                (s, c) = if r <= nothing { (T::zero(), T::one()) } else { (e[i] / r, p / r) };
                p = c * d[i] - s * g;
                d[i + 1] = h + s * (c * g + s * d[i]);
                let (first, second) = vectors[i * n..(i + 2) * n].split_at_mut(n);
                for (x, y) in first.iter_mut().zip(second) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
            p = -s * s2 * c3 * second * e[l] / next;
            (e[l], d[l]) = (s * p, c * p);
        }
        d[l] += shift;
        e[l] = T::zero();
    }
    true
}
