//! A sort by several threads.

use std::cmp::Ordering;

use super::super::parallel::{PARALLEL, join};

/// Sorts elements of which those that compare equal are the same.
pub(super) fn sort<T: Copy + Send + Sync>(x: &mut [T], compare: &(impl Fn(&T, &T) -> Ordering + Sync)) {
    if x.len() < PARALLEL {
        return x.sort_unstable_by(compare);
    }
    let mut scratch = x.to_vec();
    sort_with(x, &mut scratch, compare);
}

/// Sorts `x`; `scratch` has the same elements.
fn sort_with<T: Copy + Send + Sync>(x: &mut [T], scratch: &mut [T], compare: &(impl Fn(&T, &T) -> Ordering + Sync)) {
    if x.len() < PARALLEL / 2 {
        return x.sort_unstable_by(compare);
    }
    let half = x.len() / 2;
    let (left, right) = x.split_at_mut(half);
    let (left_scratch, right_scratch) = scratch.split_at_mut(half);
    // Sorted in the scratch space, then merged back.
    join(&mut || sort_with(left_scratch, left, compare), &mut || sort_with(right_scratch, right, compare));
    merge(left_scratch, right_scratch, x, compare);
}

/// Merges two sorted rows.
fn merge<T: Copy + Send + Sync>(a: &[T], b: &[T], out: &mut [T], compare: &(impl Fn(&T, &T) -> Ordering + Sync)) {
    if out.len() >= PARALLEL / 2 {
        // Split the longer in the middle, and the other where that element belongs.
        let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
        let i = long.len() / 2;
        let j = short.partition_point(|y| compare(y, &long[i]).is_lt());
        let (left, right) = out.split_at_mut(i + j);
        let ((a, more_a), (b, more_b)) = (long.split_at(i), short.split_at(j));
        return join(&mut || merge(a, b, left, compare), &mut || merge(more_a, more_b, right, compare));
    }
    let (mut i, mut j) = (0, 0);
    for to in out {
        let take_b = i == a.len() || (j < b.len() && compare(&b[j], &a[i]).is_lt());
        *to = if take_b { b[j] } else { a[i] };
        i += usize::from(!take_b);
        j += usize::from(take_b);
    }
}
