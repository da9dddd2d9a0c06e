//! Connectionist temporal classification.

use jaxnet_autograd::scan;
use jaxnet_tensor::{DType, Element, Error, OrRaise, Result, Shape, Tensor, with_dtype};

use super::super::activations::log_softmax;

/// The logarithm of what is impossible: so small that nothing adds up to something, and a number, since
/// infinities have no derivatives.
const IMPOSSIBLE: f64 = -1e30;

/// Connectionist temporal classification (Graves et al. 2006): less the logarithm of the probability that logits
/// give to a sequence of labels, summed over all ways to spread it over the steps, each label over one step or more,
/// with any blanks between them (and at least one between equal labels).
///
/// - `logits` of shape [batch.., steps, classes], of which `logit_lengths` (batch..) steps count;
/// - `labels`, integers of shape [batch.., labels], of which `label_lengths` (batch..) count;
/// - `blank` is the class that stands for no label.
///
/// The loss is of shape [batch..]. It is infinite, with derivative 0, where there are too few steps for the labels.
/// Logits of half precision are computed with in f32.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// // Two steps, of which one is the label 1, or both are; 0 is the blank.
/// let logits = tensor![[[0.5, 0.5], [0.25, 0.75]]].log();
/// let loss = ctc_loss(&logits, &tensor![2], &tensor![[1]], &tensor![1], 0);
/// let probability = 0.5 * 0.75 + 0.5 * 0.25 + 0.5 * 0.75;
/// assert!(loss.allclose(tensor![-f32::ln(probability)], 1e-5, 0.0));
/// ```
///
/// # Panics
///
/// If shapes do not fit, labels or lengths are not integers, or one of them is out of range. Where their values are
/// not known yet, as in compiled functions, a label that is no class makes the loss NaN instead, and lengths are
/// taken to be at most what there is.
#[track_caller]
pub fn ctc_loss(
    logits: &Tensor,
    logit_lengths: &Tensor,
    labels: &Tensor,
    label_lengths: &Tensor,
    blank: usize,
) -> Tensor {
    check(logits, logit_lengths, labels, label_lengths, blank).or_raise();
    let classes = logits.dim(-1);
    let dtype = if logits.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let batch = Shape::from(&labels.shape()[..labels.rank() - 1]);
    let (steps, count) = (logits.dim(-2), labels.dim(-1));
    let labels = labels.astype(DType::I32);
    // A label that does not count may be anything.
    let counted = Tensor::range(count).lt(label_lengths.expand_dims(-1));
    let wrong = (&counted & (labels.lt(0) | labels.ge(classes as i32))).any_axis(-1);
    let labels = labels.clip(0, classes as i32 - 1);
    // States are a blank before each label and after the last, and the labels between them.
    let shape = |last: &[usize]| -> Shape { batch.iter().chain(last).copied().collect() };
    let blanks = Tensor::full(shape(&[count, 1]), blank as i32, DType::I32);
    let states = Tensor::concatenate(&[blanks, labels.expand_dims(-1)], -1).reshape(shape(&[2 * count]));
    let states = Tensor::concatenate(&[states, Tensor::full(shape(&[1]), blank as i32, DType::I32)], -1);
    let size = 2 * count + 1;
    // The state before the last may be left out if it is a blank between different labels.
    let two_before = shifted(&states, 2, blank as i32);
    let may_skip = states.ne(blank as i32) & states.ne(&two_before);
    let at = states.expand_dims(-2).broadcast_to(shape(&[steps, size]));
    let scores = log_softmax(&logits.astype(dtype)).take_along_axis(at, -1).move_axis(-2, 0);
    let step = |before: Tensor, (scores, step): (Tensor, Tensor)| {
        let one = shifted(&before, 1, IMPOSSIBLE);
        let two = may_skip.select(shifted(&before, 2, IMPOSSIBLE), IMPOSSIBLE);
        let after = Tensor::stack(&[before.clone(), one, two], 0).logsumexp_axis(0) + scores;
        let counts = logit_lengths.expand_dims(-1).gt(&step);
        (counts.select(after, before), ())
    };
    // Before the first step only the first blank is there, from which the first label can be reached.
    let first = Tensor::range(size).eq(0).select(0.0, IMPOSSIBLE).astype(dtype).broadcast_to(shape(&[size]));
    let (last, ()) = scan(step, first, (scores, Tensor::range(steps)));
    let end = label_lengths.astype(DType::I32).expand_dims(-1) * 2;
    let with_blank = last.take_along_axis(&end, -1);
    let with_label = last.take_along_axis((&end - 1).maximum(0), -1);
    let with_label = end.gt(0).select(with_label, IMPOSSIBLE);
    let log = Tensor::concatenate(&[with_blank, with_label], -1).logsumexp_axis(-1);
    let possible = log.gt(IMPOSSIBLE / 2.0);
    let loss = possible.select(-possible.select(&log, 0.0), f64::INFINITY);
    // NaN, and only that, stays as it is.
    wrong.select(f64::NAN, log.is_nan().select(&log, loss))
}

/// What comes so many places later along the last axis, with `fill` before it.
#[track_caller]
fn shifted(x: &Tensor, by: i64, fill: impl jaxnet_tensor::Operand) -> Tensor {
    let mut widths = vec![(0, 0); x.rank()];
    widths[x.rank() - 1] = (by, -by);
    // With fewer places than that nothing is left.
    if x.dim(-1) < by as usize {
        widths[x.rank() - 1] = (x.dim(-1) as i64, -(x.dim(-1) as i64));
    }
    x.pad(&widths, fill)
}

fn check(logits: &Tensor, logit_lengths: &Tensor, labels: &Tensor, label_lengths: &Tensor, blank: usize) -> Result<()> {
    let fail = |message: String| Err(Error::invalid("ctc_loss", message));
    let shapes = format!(
        "logits {}, logit_lengths {}, labels {}, label_lengths {}",
        logits.shape(),
        logit_lengths.shape(),
        labels.shape(),
        label_lengths.shape()
    );
    let batch = || &logits.shape()[..logits.rank() - 2];
    let fits = logits.rank() >= 2
        && labels.rank() == logits.rank() - 1
        && labels.shape()[..labels.rank() - 1] == *batch()
        && **logit_lengths.shape() == *batch()
        && **label_lengths.shape() == *batch();
    if !fits {
        return fail(format!(
            "needs logits of shape [batch.., steps, classes], labels of shape [batch.., labels], and lengths of both \
             of shape [batch..], got {shapes}"
        ));
    }
    let (steps, classes, count) = (logits.dim(-2), logits.dim(-1), labels.dim(-1));
    if blank >= classes {
        return fail(format!("the blank {blank} is none of the {classes} classes, which are counted from 0"));
    }
    let (mut known_labels, mut known_lengths) = (None, None);
    for (name, x, most) in [
        ("logit_lengths", logit_lengths, Some(steps)),
        ("label_lengths", label_lengths, Some(count)),
        ("labels", labels, None),
    ] {
        if !x.dtype().is_integer() {
            return fail(format!("{name} must be integers, got {}", x.aval()));
        }
        if x.is_traced() {
            continue;
        }
        let found: Vec<i64> = with_dtype!(x.dtype(), T => {
            x.try_to_vec::<T>()?.into_iter().map(Element::to_i64).collect()
        });
        if let Some(most) = most
            && let Some(wrong) = found.iter().find(|&&length| length < 0 || length > most as i64)
        {
            return fail(format!("a length of {wrong} in {name} is not in 0..={most}; {shapes}"));
        }
        match name {
            "label_lengths" => known_lengths = Some(found),
            "labels" => known_labels = Some(found),
            _ => {}
        }
    }
    if let (Some(labels), Some(lengths)) = (known_labels, known_lengths) {
        for (row, &length) in labels.chunks(count.max(1)).zip(&lengths) {
            let row = &row[..length as usize];
            if let Some(wrong) = row.iter().find(|&&label| label < 0 || label >= classes as i64) {
                return fail(format!("label {wrong} is none of the {classes} classes, which are counted from 0"));
            }
            if row.contains(&(blank as i64)) {
                return fail(format!("a label is {blank}, which is the blank; `label_lengths` says how many count"));
            }
        }
    }
    Ok(())
}
