//! Convolutions of inputs with holes between elements (the derivatives of strided ones) as several
//! convolutions without holes, so that nothing is multiplied with the holes.

use super::geometry::{Geometry, Strides};
use crate::backend::cpu::kernels::numeric::Number;
use crate::backend::cpu::kernels::taps::Axis;

pub(super) fn applies(geometry: &Geometry) -> bool {
    geometry.axes.iter().any(|axis| axis.base_dilation > 1)
}

/// The places of an axis that meet the input with the same elements of the kernel.
#[derive(Clone, Copy)]
struct Phase {
    /// The geometry of these places and elements alone; without holes.
    axis: Axis,
    /// The first of the places, and the distance to the next.
    place: (usize, usize),
    /// The same for the elements of the kernel.
    element: (usize, usize),
}

/// The phases of an axis; `None` for places that meet nothing.
fn phases(axis: &Axis) -> Vec<Option<Phase>> {
    let dilation = axis.base_dilation;
    let period = dilation / gcd(axis.stride, dilation);
    let element_step = dilation / gcd(axis.window_dilation, dilation);
    (0..period.min(axis.output))
        .map(|first| {
            let at = |w: usize| (first * axis.stride + w * axis.window_dilation) as i64 - axis.low;
            let element = (0..element_step.min(axis.window)).find(|&w| at(w) % dilation as i64 == 0);
            element.map(|element| Phase {
                axis: Axis {
                    input: axis.input,
                    window: (axis.window - element).div_ceil(element_step),
                    output: (axis.output - first).div_ceil(period),
                    stride: period * axis.stride / dilation,
                    low: -(at(element) / dilation as i64),
                    base_dilation: 1,
                    window_dilation: element_step * axis.window_dilation / dilation,
                },
                place: (first, period),
                element: (element, element_step),
            })
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Computes each phase by `convolve`, which gets one without holes.
pub(super) fn convolve<T: Number>(
    geometry: &Geometry,
    lhs: &[T],
    rhs: &[T],
    output: &mut [T],
    convolve: impl Fn(&Geometry, &[T], &[T], &mut [T]),
) {
    let choices: Vec<Vec<_>> = geometry.axes.iter().map(phases).collect();
    // Places without a phase are sums of nothing.
    if choices.iter().flatten().any(Option::is_none) {
        output.fill(T::ZERO);
    }
    let mut sums = Vec::new();
    let count = choices.iter().map(Vec::len).product();
    for mut number in 0..count {
        let chosen: Option<Vec<Phase>> = choices
            .iter()
            .map(|phases| {
                let phase = phases[number % phases.len()];
                number /= phases.len();
                phase
            })
            .collect();
        let Some(chosen) = chosen else { continue };
        let sub = Geometry {
            axes: chosen.iter().map(|phase| phase.axis).collect(),
            rhs: Strides {
                spatial: chosen
                    .iter()
                    .zip(&geometry.rhs.spatial)
                    .map(|(phase, stride)| phase.element.1 * stride)
                    .collect(),
                ..geometry.rhs.clone()
            },
            out: compact(geometry, &chosen),
            ..geometry.clone()
        };
        let first_element: usize =
            chosen.iter().zip(&geometry.rhs.spatial).map(|(phase, stride)| phase.element.0 * stride).sum();
        sums.clear();
        sums.resize(geometry.batch * geometry.groups * geometry.outputs * sub.places(), T::ZERO);
        convolve(&sub, lhs, &rhs[first_element..], &mut sums);
        put(geometry, &sub, &chosen, &sums, output);
    }
}

/// The axes of the result: size, and stride among all places.
fn axes(geometry: &Geometry, chosen: &[Phase]) -> Vec<(usize, usize)> {
    let features = geometry.groups * geometry.outputs;
    let spatial = chosen.iter().zip(&geometry.out.spatial).map(|(phase, &stride)| (phase.axis.output, stride));
    [(geometry.batch, geometry.out.outer), (features, geometry.out.inner)].into_iter().chain(spatial).collect()
}

/// The strides of the phase's places alone, nested as all places are.
fn compact(geometry: &Geometry, chosen: &[Phase]) -> Strides {
    let axes = axes(geometry, chosen);
    let mut order: Vec<usize> = (0..axes.len()).collect();
    order.sort_by_key(|&i| axes[i].1);
    let mut strides = vec![0; axes.len()];
    let mut next = 1;
    for i in order {
        strides[i] = next;
        next *= axes[i].0;
    }
    Strides {
        group: geometry.outputs * strides[1],
        outer: strides[0],
        inner: strides[1],
        spatial: strides[2..].to_vec(),
    }
}

/// Puts the sums of a phase in their places among all.
fn put<T: Number>(geometry: &Geometry, sub: &Geometry, chosen: &[Phase], sums: &[T], output: &mut [T]) {
    let first: usize = chosen.iter().zip(&geometry.out.spatial).map(|(phase, stride)| phase.place.0 * stride).sum();
    // Size, stride in the sums, stride in the result; innermost last.
    let spatial = (0..chosen.len())
        .map(|i| (chosen[i].axis.output, sub.out.spatial[i], chosen[i].place.1 * geometry.out.spatial[i]));
    let features = (geometry.groups * geometry.outputs, sub.out.inner, geometry.out.inner);
    let mut axes: Vec<_> =
        [(geometry.batch, sub.out.outer, geometry.out.outer), features].into_iter().chain(spatial).collect();
    axes.retain(|axis| axis.0 != 1);
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.1));
    let Some((run, outer)) = axes.split_last() else {
        output[first] = sums[0];
        return;
    };
    for (row, sums) in sums.chunks_exact(run.0).enumerate() {
        let mut rest = row;
        let mut to = first;
        for &(size, _, stride) in outer.iter().rev() {
            to += rest % size * stride;
            rest /= size;
        }
        if run.2 == 1 {
            output[to..to + run.0].copy_from_slice(sums);
        } else {
            output[to..].iter_mut().step_by(run.2).zip(sums).for_each(|(to, &sum)| *to = sum);
        }
    }
}
