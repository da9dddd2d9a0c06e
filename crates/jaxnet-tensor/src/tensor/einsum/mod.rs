//! Sums of products in Einstein's notation.
//!
//! Parsing is in `parse.rs`. Operands are made simple one by one (diagonals of repeated labels, axes of
//! size 1 that others broadcast, sums over what nobody else has), then contracted two by two.

mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;

use parse::{Label, Spec};

use super::Tensor;
use crate::dtype::{DType, promote_types};
use crate::error::{Error, OrRaise, Result};
use crate::lax;
use crate::primitive::ReduceKind;
use crate::shape::{Dims, Shape};

impl Tensor {
    /// Products of operands, summed over axes, as letters for the axes say: numpy's `einsum`.
    ///
    /// Each operand's axes get letters, with commas between the operands; after `->` come those of the
    /// result, in any order. Letters that are not there are summed over. A letter that an operand has
    /// twice takes its diagonal. `...` stands for the axes that have no letters, which broadcast. Axes
    /// of size 1 broadcast, too. Without `->`, the result has the axes of `...`, then those of the
    /// letters that occur once, in alphabetical order (capitals first).
    ///
    /// Several operands are contracted two by two, each time those whose product saves the most memory.
    /// Dtypes are promoted; products of booleans are `and`, sums `or`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    ///
    /// let (a, b) = (tensor![[1, 2], [3, 4]], tensor![[1, 1], [0, 1]]);
    /// assert_eq!(Tensor::einsum("ij,jk->ik", &[&a, &b]).to_vec::<i32>(), a.matmul(&b).to_vec::<i32>());
    /// assert_eq!(Tensor::einsum("ii", &[&a]).item::<i32>(), 5); // the trace
    /// assert_eq!(Tensor::einsum("ij->ji", &[&a]).to_vec::<i32>(), [1, 3, 2, 4]);
    /// // Attention scores of queries and keys, over whatever batch axes there are.
    /// let (q, k) = (Tensor::ones([8, 5, 2, 3]), Tensor::ones([8, 7, 2, 3]));
    /// let scores = Tensor::einsum("...qhd,...khd->...hqk", &[q, k]);
    /// assert_eq!(scores.shape().dims(), [8, 2, 5, 7]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the letters do not fit the operands, or sizes for one letter differ.
    #[track_caller]
    pub fn einsum<T: Borrow<Tensor>>(subscripts: &str, operands: &[T]) -> Tensor {
        let operands: Vec<&Tensor> = operands.iter().map(Borrow::borrow).collect();
        einsum(subscripts, &operands)
            .map_err(|why| {
                let avals: Vec<String> = operands.iter().map(|x| x.aval().to_string()).collect();
                Error::invalid("einsum", format!("{subscripts:?} with {}: {why}", avals.join(", ")))
            })
            .or_raise()
    }
}

/// What is wrong, to be told with the subscripts and the operands.
type Why<T> = Result<T, String>;

/// A tensor with a label for each axis.
struct Term {
    x: Tensor,
    labels: Vec<Label>,
}

fn einsum(subscripts: &str, operands: &[&Tensor]) -> Why<Tensor> {
    let ranks: Vec<usize> = operands.iter().map(|x| x.rank()).collect();
    let spec = parse::parse(subscripts, &ranks)?;
    let sizes = Sizes::new(&spec, operands)?;
    contract(&spec, &sizes, operands).map_err(|error| error.to_string())
}

/// The size of each label.
struct Sizes(Vec<(Label, usize)>);

impl Sizes {
    fn new(spec: &Spec, operands: &[&Tensor]) -> Why<Self> {
        let mut sizes: Vec<(Label, usize, usize)> = Vec::new();
        for (i, (labels, x)) in spec.inputs.iter().zip(operands).enumerate() {
            for (&label, &size) in labels.iter().zip(x.shape().iter()) {
                match sizes.iter_mut().find(|entry| entry.0 == label) {
                    None => sizes.push((label, size, i)),
                    Some(entry) if entry.1 == 1 => (entry.1, entry.2) = (size, i),
                    Some(entry) if entry.1 == size || size == 1 => {}
                    Some(entry) => {
                        return Err(format!(
                            "{label} has size {} in operand {} and {size} in operand {i}; sizes must be equal or 1",
                            entry.1, entry.2
                        ));
                    }
                }
            }
        }
        Ok(Sizes(sizes.into_iter().map(|(label, size, _)| (label, size)).collect()))
    }

    fn of(&self, label: Label) -> usize {
        self.0.iter().find(|entry| entry.0 == label).map_or(1, |entry| entry.1)
    }

    /// How many elements something with these labels has, roughly where it is very many.
    fn product<'a>(&self, labels: impl IntoIterator<Item = &'a Label>) -> f64 {
        labels.into_iter().map(|&label| self.of(label) as f64).product()
    }
}

fn contract(spec: &Spec, sizes: &Sizes, operands: &[&Tensor]) -> Result<Tensor> {
    let promoted = operands.iter().map(|x| (x.dtype(), x.is_weak())).reduce(promote_types);
    let dtype = promoted.expect("at least one operand").0;
    // As in `dot::operands`.
    let working = if dtype == DType::Bool { DType::F32 } else { dtype };
    let mut terms = Vec::with_capacity(operands.len());
    for (labels, x) in spec.inputs.iter().zip(operands) {
        let term = diagonals(Term { x: lax::convert(x, working)?, labels: labels.clone() })?;
        terms.push(without_broadcast(term, sizes)?);
    }
    while terms.len() > 1 {
        let (i, j) = best_pair(&terms, &spec.output, sizes);
        let y = terms.remove(j);
        let x = terms.remove(i);
        let kept = kept(&terms, &spec.output);
        terms.push(multiply(sum_out(x, |label| y.labels.contains(&label) || kept.contains(&label))?, y, &kept)?);
    }
    let term = sum_out(terms.remove(0), |label| spec.output.contains(&label))?;
    let place = |label: &Label| term.labels.iter().position(|other| other == label).expect("every label of the result");
    let result = lax::transpose(&term.x, &spec.output.iter().map(place).collect::<Dims>())?;
    if dtype == DType::Bool { lax::convert(&result, DType::Bool) } else { Ok(result) }
}

/// The labels that the rest of the computation needs.
fn kept(rest: &[Term], output: &[Label]) -> Vec<Label> {
    rest.iter().flat_map(|term| &term.labels).chain(output).copied().collect()
}

/// Takes diagonals until no label is there twice.
fn diagonals(mut term: Term) -> Result<Term> {
    let twice = |labels: &[Label]| {
        let second = (1..labels.len()).find(|&j| labels[..j].contains(&labels[j]))?;
        let first = labels.iter().position(|label| *label == labels[second])?;
        Some((first, second))
    };
    while let Some((first, second)) = twice(&term.labels) {
        let label = term.labels[first];
        // An axis of size 1 is repeated along the other, so that its only place is the diagonal.
        let single = [second, first].into_iter().find(|&axis| term.x.shape()[axis] == 1);
        if let Some(axis) = single {
            term.x = lax::reshape(&term.x, term.x.shape().without_axis(axis))?;
            term.labels.remove(axis);
            continue;
        }
        let others = (0..term.labels.len()).filter(|&axis| axis != first && axis != second);
        let permutation: Dims = others.clone().chain([first, second]).collect();
        term.labels = others.map(|axis| term.labels[axis]).chain([label]).collect();
        term.x = lax::transpose(&term.x, &permutation)?.diagonal(0);
    }
    Ok(term)
}

/// Leaves out axes of size 1 whose label has another size elsewhere: what has no such axis is the same
/// everywhere along it.
fn without_broadcast(term: Term, sizes: &Sizes) -> Result<Term> {
    let keep: Vec<usize> =
        (0..term.labels.len()).filter(|&axis| term.x.shape()[axis] != 1 || sizes.of(term.labels[axis]) == 1).collect();
    let shape: Shape = keep.iter().map(|&axis| term.x.shape()[axis]).collect();
    Ok(Term { x: lax::reshape(&term.x, shape)?, labels: keep.into_iter().map(|axis| term.labels[axis]).collect() })
}

/// Sums over the labels that are not kept.
fn sum_out(term: Term, keep: impl Fn(Label) -> bool) -> Result<Term> {
    let axes: Dims = (0..term.labels.len()).filter(|&axis| !keep(term.labels[axis])).collect();
    if axes.is_empty() {
        return Ok(term);
    }
    Ok(Term {
        x: lax::reduce(ReduceKind::Sum, &term.x, &axes)?,
        labels: term.labels.into_iter().filter(|&label| keep(label)).collect(),
    })
}

/// The pair whose product is smallest beside what it replaces, and of these the one with the least work.
/// Pairs that share a label come before those that do not, whose product only grows.
fn best_pair(terms: &[Term], output: &[Label], sizes: &Sizes) -> (usize, usize) {
    let mut best = ((true, f64::INFINITY, f64::INFINITY), (0, 1));
    for i in 0..terms.len() {
        for j in i + 1..terms.len() {
            let (x, y) = (&terms[i].labels, &terms[j].labels);
            let all: Vec<Label> = x.iter().chain(y.iter().filter(|label| !x.contains(label))).copied().collect();
            let needed = |label: &Label| {
                let elsewhere = terms.iter().enumerate().any(|(k, t)| k != i && k != j && t.labels.contains(label));
                elsewhere || output.contains(label)
            };
            let result = sizes.product(all.iter().filter(|label| needed(label)));
            let apart = x.iter().all(|label| !y.contains(label));
            let cost = (apart, result - sizes.product(x) - sizes.product(y), sizes.product(&all));
            if cost < best.0 {
                best = (cost, (i, j));
            }
        }
    }
    best.1
}

/// The product of two terms, summed over the labels that are not kept.
fn multiply(x: Term, y: Term, kept: &[Label]) -> Result<Term> {
    let y = sum_out(y, |label| x.labels.contains(&label) || kept.contains(&label))?;
    let shared: Vec<Label> = x.labels.iter().filter(|label| y.labels.contains(label)).copied().collect();
    let (batch, summed): (Vec<Label>, Vec<Label>) = shared.iter().partition(|label| kept.contains(label));
    let free =
        |term: &Term| -> Vec<Label> { term.labels.iter().filter(|label| !shared.contains(label)).copied().collect() };
    let (x_free, y_free) = (free(&x), free(&y));
    let labels: Vec<Label> = [&batch[..], &x_free, &y_free].concat();
    let axes = |term: &Term, labels: &[Label]| -> Dims {
        let place = |label| term.labels.iter().position(|other| other == label).expect("a label of the term");
        labels.iter().map(place).collect()
    };
    if summed.is_empty() {
        // Nothing to contract: an elementwise product, which fuses with what comes after it.
        let lined_up = |term: &Term, free: &[Label]| {
            let own: Vec<Label> = [&batch[..], free].concat();
            let x = lax::transpose(&term.x, &axes(term, &own))?;
            let mut sizes = x.shape().iter();
            let shape: Shape = labels
                .iter()
                .map(|label| if own.contains(label) { *sizes.next().expect("a size for each label") } else { 1 })
                .collect();
            lax::reshape(&x, shape)
        };
        return Ok(Term { x: lined_up(&x, &x_free)? * lined_up(&y, &y_free)?, labels });
    }
    let product =
        lax::dot_general(&x.x, &y.x, (&axes(&x, &summed), &axes(&y, &summed)), (&axes(&x, &batch), &axes(&y, &batch)))?;
    Ok(Term { x: product, labels })
}
