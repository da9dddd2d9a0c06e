//! The greatest elements of rows.

use super::super::parallel::{PARALLEL, in_parts};
use super::Key;

/// The `k` greatest elements of each row of this size, and their places. Nothing is empty.
pub(super) fn top_k<T: Key>(x: &[T], size: usize, k: usize, values: &mut [T], places: &mut [i32]) {
    assert!(size <= i32::MAX as usize, "top_k: the places in an axis of {size} elements do not fit i32");
    // Values and places are written side by side: places first, then what is there.
    in_parts(places, (PARALLEL / 4 / size).max(1) * k, &|first, part| {
        let rows = x[first / k * size..].chunks(size);
        for (row, places) in rows.zip(part.chunks_mut(k)) {
            select(row, places);
        }
    });
    for ((values, places), row) in values.chunks_mut(k).zip(places.chunks(k)).zip(x.chunks(size)) {
        for (value, &place) in values.iter_mut().zip(places) {
            *value = row[place as usize];
        }
    }
}

/// The places of the greatest elements of a row, as many as there is room for.
fn select<T: Key>(row: &[T], places: &mut [i32]) {
    let k = places.len();
    // The least pair is that of the greatest element, and of equal ones that of the first.
    let mut best: Vec<(T::Ordered, u32)> = Vec::with_capacity(row.len().min(4 * k + 256));
    let mut limit = None;
    for (place, x) in row.iter().enumerate() {
        let key = !x.ordered();
        // Most elements of a long row are less than `k` others that came before.
        if limit.is_some_and(|limit| key >= limit) {
            continue;
        }
        best.push((key, place as u32));
        if best.len() == 4 * k + 256 {
            let (_, last, _) = best.select_nth_unstable(k - 1);
            limit = Some(last.0);
            best.truncate(k);
        }
    }
    if best.len() > k {
        best.select_nth_unstable(k - 1);
        best.truncate(k);
    }
    best.sort_unstable();
    for (place, (_, found)) in places.iter_mut().zip(best) {
        *place = found as i32;
    }
}
