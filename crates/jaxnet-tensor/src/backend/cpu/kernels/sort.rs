//! Sorting and selecting.
//!
//! Elements are compared by integer keys in their order, which makes floats as quick to compare as
//! integers and settles NaN and the two zeros in one place.

mod merge;
#[cfg(test)]
mod tests;
mod top_k;

use std::ops::Not;

use bytemuck::Pod;
use half::{bf16, f16};
use smallvec::SmallVec;

use super::parallel::{PARALLEL, in_parts};
use super::shape::strided::copy;
use super::{Input, Output};
use crate::dtype::Element;
use crate::primitive::Sort;

pub(super) fn run(op: &Sort, inputs: &[Input<'_>], outputs: &mut [Output<'_>]) {
    if outputs[0].aval.size() == 0 {
        return;
    }
    match op {
        Sort::Sort { axis, keys, descending } => sort(inputs, *axis, *keys, *descending, outputs),
        Sort::TopK { k } => {
            let [values, places] = outputs else { unreachable!("top_k has two results") };
            crate::with_dtype!(inputs[0].aval.dtype, T => {
                let size = inputs[0].aval.shape[inputs[0].aval.rank() - 1];
                top_k::top_k::<T>(inputs[0].slice(), size, *k, values.slice(), places.slice());
            });
        }
    }
}

/// Elements with an order.
trait Key: Element {
    /// An integer that compares as the element does: NaNs are one key, greater than any other, and so
    /// are both zeros. (Three types serve all dtypes, so that the sorts are compiled three times.)
    type Ordered: Ord + Copy + Default + Send + Sync + Into<i64> + Not<Output = Self::Ordered>;
    fn ordered(self) -> Self::Ordered;
    /// An element with that key.
    fn with_key(key: Self::Ordered) -> Self;
}

macro_rules! integer_keys {
    ($($t:ty, $key:ty, $with_key:expr;)*) => {$(
        impl Key for $t {
            type Ordered = $key;
            #[inline(always)]
            fn ordered(self) -> $key { self.into() }
            #[inline(always)]
            fn with_key(key: $key) -> Self { $with_key(key) }
        }
    )*};
}

macro_rules! float_keys {
    ($($t:ty, $key:ty, $bits:ty;)*) => {$(
        impl Key for $t {
            type Ordered = $key;
            #[inline(always)]
            fn ordered(self) -> $key {
                // Sign and magnitude; the greatest key is no number's magnitude.
                let bits = self.to_bits() as $key;
                let magnitude = bits & <$key>::MAX;
                let number = if bits < 0 { -magnitude } else { magnitude };
                if self.is_nan() { <$key>::MAX } else { number }
            }
            #[inline(always)]
            fn with_key(key: $key) -> Self {
                let bits = if key < 0 { -key | <$key>::MIN } else { key };
                Self::from_bits(bits as $bits)
            }
        }
    )*};
}

integer_keys! {
    bool, i16, |key| key != 0;
    u8, i16, |key| key as u8;
    u32, i64, |key| key as u32;
    i32, i32, |key| key;
    i64, i64, |key| key;
}
float_keys! { bf16, i16, u16; f16, i16, u16; f32, i32, u32; f64, i64, u64; }

/// Places in a row; half as wide where that suffices, which makes for less to move while sorting.
trait Place: Copy + Ord + Send + Sync {
    fn new(place: usize) -> Self;
    fn get(self) -> usize;
}

impl Place for u32 {
    fn new(place: usize) -> Self {
        place as u32
    }
    fn get(self) -> usize {
        self as usize
    }
}

impl Place for usize {
    fn new(place: usize) -> Self {
        place
    }
    fn get(self) -> usize {
        self
    }
}

fn sort(inputs: &[Input<'_>], axis: usize, keys: usize, descending: bool, outputs: &mut [Output<'_>]) {
    let shape = &inputs[0].aval.shape;
    let (size, inner) = (shape[axis], shape[axis + 1..].iter().product());
    if let [input] = inputs {
        return crate::with_dtype!(input.aval.dtype, T => {
            let output = outputs[0].slice::<T>();
            if inner == 1 {
                return sort_rows(input.slice::<T>(), size, descending, output);
            }
            let rows = to_rows(input.slice::<T>(), size, inner);
            let mut sorted = rows.clone();
            sort_rows(&rows, size, descending, &mut sorted);
            from_rows(&sorted, size, inner, output);
        });
    }
    let order: Vec<u32>;
    let wide_order: Vec<usize>;
    if size <= u32::MAX as usize {
        order = find_order(&inputs[..keys], size, inner, descending);
        arrange_all(inputs, &order, size, inner, outputs);
    } else {
        wide_order = find_order(&inputs[..keys], size, inner, descending);
        arrange_all(inputs, &wide_order, size, inner, outputs);
    }
}

/// An array `[.., size, inner]` with its last two axes exchanged.
fn to_rows<T: Copy + Send + Sync>(x: &[T], size: usize, inner: usize) -> Vec<T> {
    let mut rows = x.to_vec();
    if inner > 1 {
        from_rows(x, inner, size, &mut rows);
    }
    rows
}

/// An array `[.., inner, size]` with its last two axes exchanged.
fn from_rows<T: Copy + Send + Sync>(rows: &[T], size: usize, inner: usize, out: &mut [T]) {
    let shape = [rows.len() / (size * inner), size, inner];
    copy(rows, 0, &shape, &[(size * inner) as isize, 1, size as isize], out);
}

/// Sorts each row of this size by itself.
fn sort_rows<T: Key>(x: &[T], size: usize, descending: bool, out: &mut [T]) {
    in_parts(out, rows_at_once(size) * size, &|first, part| {
        let mut keys = Vec::with_capacity(size);
        for (row, out) in x[first..].chunks(size).zip(part.chunks_mut(size)) {
            keys.clear();
            keys.extend(row.iter().map(|x| if descending { !x.ordered() } else { x.ordered() }));
            merge::sort(&mut keys, &T::Ordered::cmp);
            for (y, &key) in out.iter_mut().zip(&keys) {
                *y = T::with_key(if descending { !key } else { key });
            }
            if T::DTYPE.is_float() {
                restore(row, T::default(), out);
                restore(row, T::from_f64(f64::NAN), out);
            }
        }
    });
}

/// Puts the elements of a row that have the same key as this one into its sorted form in their order,
/// as a stable sort would have: zeros and NaNs differ though their keys do not.
fn restore<T: Key>(row: &[T], same: T, sorted: &mut [T]) {
    let same = |x: &T| x.ordered() == same.ordered();
    let Some(start) = sorted.iter().position(same) else { return };
    for (y, x) in sorted[start..].iter_mut().zip(row.iter().copied().filter(same)) {
        *y = x;
    }
}

/// How many rows one thread sorts: sorting takes longer by element than most operations.
fn rows_at_once(size: usize) -> usize {
    (PARALLEL / 16 / size).max(1)
}

/// For each row, the places of its elements from the first on.
fn find_order<P: Place>(keys: &[Input<'_>], size: usize, inner: usize, descending: bool) -> Vec<P> {
    let (first, rest) = keys.split_first().expect("at least one key");
    let rest: SmallVec<[Vec<i64>; 2]> = rest
        .iter()
        .map(|key| crate::with_dtype!(key.aval.dtype, T => wide_key_rows::<T>(key, size, inner, descending)))
        .collect();
    crate::with_dtype!(first.aval.dtype, T => {
        find_order_by(&key_rows::<T>(first, size, inner, descending), &rest, size)
    })
}

/// The keys, in rows; complements of them turn the order round without overflow.
fn key_rows<T: Key>(input: &Input<'_>, size: usize, inner: usize, descending: bool) -> Vec<T::Ordered> {
    let ordered = |x: &T| if descending { !x.ordered() } else { x.ordered() };
    let keys: Vec<T::Ordered> = input.slice::<T>().iter().map(ordered).collect();
    if inner == 1 { keys } else { to_rows(&keys, size, inner) }
}

/// The same in a type that holds the keys of any dtype.
fn wide_key_rows<T: Key>(input: &Input<'_>, size: usize, inner: usize, descending: bool) -> Vec<i64> {
    key_rows::<T>(input, size, inner, descending).into_iter().map(Into::into).collect()
}

fn find_order_by<K: Ord + Copy + Send + Sync, P: Place>(first: &[K], rest: &[Vec<i64>], size: usize) -> Vec<P> {
    let mut order = vec![P::new(0); first.len()];
    let sort_row = |start: usize, places: &mut [P]| {
        // The place is the last key, so that a sort that need not be stable is.
        let row = first[start..start + size].iter().enumerate();
        let mut pairs: Vec<(K, P)> = row.map(|(place, &key)| (key, P::new(place))).collect();
        let compare = |a: &(K, P), b: &(K, P)| {
            let mut others = rest.iter().map(|keys| keys[start + a.1.get()].cmp(&keys[start + b.1.get()]));
            a.0.cmp(&b.0).then_with(|| others.find(|order| order.is_ne()).unwrap_or(a.1.cmp(&b.1)))
        };
        match rest {
            [] => merge::sort(&mut pairs, &Ord::cmp),
            _ => merge::sort(&mut pairs, &compare),
        }
        for (place, (_, found)) in places.iter_mut().zip(pairs) {
            *place = found;
        }
    };
    in_parts(&mut order, rows_at_once(size) * size, &|first, part| {
        part.chunks_mut(size).enumerate().for_each(|(i, row)| sort_row(first + i * size, row));
    });
    order
}

fn arrange_all<P: Place>(inputs: &[Input<'_>], order: &[P], size: usize, inner: usize, outputs: &mut [Output<'_>]) {
    for (input, output) in inputs.iter().zip(outputs) {
        match input.aval.dtype.size() {
            1 => arrange::<u8, P>(input, order, size, inner, output),
            2 => arrange::<u16, P>(input, order, size, inner, output),
            4 => arrange::<u32, P>(input, order, size, inner, output),
            _ => arrange::<u64, P>(input, order, size, inner, output),
        }
    }
}

/// Puts an operand's elements in the order that was found.
fn arrange<W: Pod + Send + Sync, P: Place>(
    input: &Input<'_>,
    order: &[P],
    size: usize,
    inner: usize,
    output: &mut Output<'_>,
) {
    let take = |from: &[W], to: &mut [W]| {
        let rows = to.chunks_mut(size).zip(from.chunks(size)).zip(order.chunks(size));
        for ((to, from), order) in rows {
            for (to, place) in to.iter_mut().zip(order) {
                *to = from[place.get()];
            }
        }
    };
    let input = input.words::<W>();
    if inner == 1 {
        return take(input, output.words());
    }
    let mut rows = to_rows(input, size, inner);
    let unsorted = rows.clone();
    take(&unsorted, &mut rows);
    from_rows(&rows, size, inner, output.words());
}
