//! A stable sort by several threads.

use super::super::parallel::{PARALLEL, join};

/// Sorts stably by `less`.
pub(super) fn sort<T: Copy + Send + Sync>(x: &mut [T], less: &(impl Fn(&T, &T) -> bool + Sync)) {
    if x.len() < PARALLEL {
        return sort_alone(x, less);
    }
    let mut scratch = x.to_vec();
    sort_with(x, &mut scratch, less);
}

fn sort_alone<T>(x: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    // The library's sort only asks whether the order is `Less`.
    x.sort_by(|a, b| if less(a, b) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater });
}

/// Sorts `x`; `scratch` has the same elements.
fn sort_with<T: Copy + Send + Sync>(x: &mut [T], scratch: &mut [T], less: &(impl Fn(&T, &T) -> bool + Sync)) {
    if x.len() < PARALLEL / 2 {
        return sort_alone(x, less);
    }
    let half = x.len() / 2;
    let (left, right) = x.split_at_mut(half);
    let (left_scratch, right_scratch) = scratch.split_at_mut(half);
    // Sorted in the scratch space, then merged back.
    join(&mut || sort_with(left_scratch, left, less), &mut || sort_with(right_scratch, right, less));
    merge(left_scratch, right_scratch, x, less);
}

/// Merges two sorted rows; of equal elements those of `a` come first.
fn merge<T: Copy + Send + Sync>(a: &[T], b: &[T], out: &mut [T], less: &(impl Fn(&T, &T) -> bool + Sync)) {
    if out.len() >= PARALLEL / 2 {
        // Split the longer in the middle, and the other where that element belongs.
        let (i, j) = if a.len() >= b.len() {
            let i = a.len() / 2;
            (i, b.partition_point(|y| less(y, &a[i])))
        } else {
            let j = b.len() / 2;
            (a.partition_point(|x| !less(&b[j], x)), j)
        };
        let (left, right) = out.split_at_mut(i + j);
        let ((a, more_a), (b, more_b)) = (a.split_at(i), b.split_at(j));
        return join(&mut || merge(a, b, left, less), &mut || merge(more_a, more_b, right, less));
    }
    let (mut i, mut j) = (0, 0);
    for to in out {
        let take_b = i == a.len() || (j < b.len() && less(&b[j], &a[i]));
        *to = if take_b { b[j] } else { a[i] };
        i += usize::from(!take_b);
        j += usize::from(take_b);
    }
}
