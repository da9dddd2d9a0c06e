//! Against a loop over all indices, and messages.

use super::*;
use crate::error::try_catch;
use crate::tensor;
use crate::testing::{Arbitrary, indices};

/// The definition: for every place of every label, the product of what the operands have there.
fn reference(subscripts: &str, operands: &[Tensor]) -> (Shape, Vec<i64>) {
    let ranks: Vec<usize> = operands.iter().map(Tensor::rank).collect();
    let spec = parse::parse(subscripts, &ranks).unwrap();
    let borrowed: Vec<&Tensor> = operands.iter().collect();
    let sizes = Sizes::new(&spec, &borrowed).unwrap();
    let labels: Vec<Label> = sizes.0.iter().map(|entry| entry.0).collect();
    let values: Vec<Vec<i64>> = operands.iter().map(Tensor::to_vec).collect();
    let shape: Shape = spec.output.iter().map(|&label| sizes.of(label)).collect();
    let mut result = vec![0; shape.size()];
    let every: Shape = labels.iter().map(|&label| sizes.of(label)).collect();
    for index in indices(&every) {
        let at = |label: &Label| index[labels.iter().position(|other| other == label).unwrap()];
        let place = |labels: &[Label], shape: &Shape| -> usize {
            let axes = labels.iter().zip(shape.iter()).zip(shape.strides());
            axes.map(|((label, &size), stride)| if size == 1 { 0 } else { at(label) * stride }).sum()
        };
        let factor = |(i, labels): (usize, &Vec<Label>)| values[i][place(labels, operands[i].shape())];
        result[place(&spec.output, &shape)] += spec.inputs.iter().enumerate().map(factor).product::<i64>();
    }
    (shape, result)
}

#[test]
fn follows_the_definition() {
    let mut random = Arbitrary::new(1);
    let mut check = |subscripts: &str, shapes: &[&[usize]]| {
        let operands: Vec<Tensor> = shapes
            .iter()
            .map(|shape| {
                let shape = Shape::from(*shape);
                let elements: Vec<i64> = (0..shape.size()).map(|_| random.between(-9, 9)).collect();
                Tensor::from_slice(&elements, shape).unwrap()
            })
            .collect();
        let (shape, elements) = reference(subscripts, &operands);
        let result = Tensor::einsum(subscripts, &operands);
        assert_eq!(result.shape(), &shape, "{subscripts} {shapes:?}");
        assert_eq!(result.to_vec::<i64>(), elements, "{subscripts} {shapes:?}");
    };
    // One operand: views, sums, diagonals, traces.
    check("", &[&[]]);
    check("i", &[&[3]]);
    check("ba", &[&[2, 3]]);
    check("ij->", &[&[2, 3]]);
    check("ij->j", &[&[2, 3]]);
    check("kij->jk", &[&[2, 3, 4]]);
    check("ii", &[&[3, 3]]);
    check("ii->i", &[&[3, 3]]);
    check("iji->ij", &[&[3, 2, 3]]);
    check("iii->i", &[&[3, 3, 3]]);
    check("ijij", &[&[2, 3, 2, 3]]);
    check("ijij->ji", &[&[2, 3, 2, 3]]);
    check("...ii->...i", &[&[2, 4, 3, 3]]);
    check("i...i", &[&[3, 2, 3]]);
    check("i...->...", &[&[3, 2, 4]]);
    check("...", &[&[2, 3]]);
    check(" i j -> j i ", &[&[2, 3]]);
    check("Ab", &[&[2, 3]]);
    check("aB", &[&[2, 3]]);
    check("ij->...ij", &[&[2, 3]]);
    // Repeated labels of size 1 and of another size.
    check("ii->i", &[&[1, 3]]);
    check("ii", &[&[3, 1]]);
    check("iii->i", &[&[3, 1, 3]]);
    check("ii->i", &[&[1, 1]]);
    // Two operands.
    check("i,i", &[&[3], &[3]]);
    check("i,j", &[&[3], &[2]]);
    check("j,i", &[&[3], &[2]]);
    check("ij,jk", &[&[2, 3], &[3, 4]]);
    check("ij,kj->ki", &[&[2, 3], &[4, 3]]);
    check("bij,bjk->bik", &[&[2, 3, 4], &[2, 4, 2]]);
    check("bij,bjk->kbi", &[&[2, 3, 4], &[2, 4, 2]]);
    check("ij,ij->ij", &[&[2, 3], &[2, 3]]);
    check("ij,ij->ji", &[&[2, 3], &[2, 3]]);
    check("ij,i->ij", &[&[2, 3], &[2]]);
    check("ij,k->i", &[&[2, 3], &[4]]);
    check("ii,ij->j", &[&[3, 3], &[3, 2]]);
    check("ijkl,jl->ki", &[&[2, 3, 2, 3], &[3, 3]]);
    check("...qhd,...khd->...hqk", &[&[2, 3, 2, 4], &[2, 5, 2, 4]]);
    check("...ij,...jk->...ik", &[&[5, 1, 2, 3], &[4, 3, 2]]);
    check("...,...", &[&[2, 3], &[3]]);
    check("...i,j...->ji...", &[&[2, 3], &[4, 2]]);
    check(",ij", &[&[], &[2, 3]]);
    check("...,", &[&[2], &[]]);
    // Sizes of 1 and 0.
    check("ij,ij->ij", &[&[1, 3], &[2, 3]]);
    check("ij,jk->ik", &[&[2, 1], &[3, 4]]);
    check("ij,jk->ik", &[&[2, 3], &[1, 4]]);
    check("ij,jk->ik", &[&[2, 1], &[1, 4]]);
    check("ij,j->i", &[&[1, 1], &[1]]);
    check("ij,jk->ik", &[&[2, 0], &[0, 3]]);
    check("ij,jk->ik", &[&[0, 2], &[2, 3]]);
    check("i,i->i", &[&[1], &[0]]);
    check("ii->i", &[&[0, 0]]);
    check("ij->", &[&[0, 3]]);
    // Several.
    check("i,i,i", &[&[3], &[3], &[3]]);
    check("i,j,k->kji", &[&[2], &[3], &[4]]);
    check("ij,jk,kl->il", &[&[2, 3], &[3, 4], &[4, 2]]);
    check("ij,jk,kl,li", &[&[2, 3], &[3, 4], &[4, 2], &[2, 2]]);
    check("ab,cb,cd,ad->bd", &[&[2, 3], &[4, 3], &[4, 2], &[2, 2]]);
    check("b,bi,bj->bij", &[&[2], &[2, 3], &[2, 4]]);
    check("...i,...i,i->...", &[&[2, 3], &[1, 3], &[3]]);
    check("ij,jk,k,->i", &[&[2, 3], &[3, 1], &[4], &[]]);
}

#[test]
fn the_greedy_order_avoids_large_products() {
    // The vector goes first: no matrix is multiplied by a matrix.
    let (a, v) = (Tensor::ones([50, 50]), Tensor::ones([50]));
    let avals = [a.aval(), a.aval(), v.aval()].map(Clone::clone);
    let product = |x: &[Tensor]| Ok(vec![Tensor::einsum("ij,jk,k->i", &[&x[0], &x[1], &x[2]])]);
    let program = crate::program::stage::stage_closed("einsum", &avals, product).unwrap();
    let largest = program.equations().iter().flat_map(|equation| equation.outputs.iter());
    assert_eq!(largest.map(|&var| program.aval(var).size()).max(), Some(50), "{program}");
}

#[test]
fn dtypes_are_promoted_and_booleans_ask_whether() {
    let x = Tensor::einsum("i,i->i", &[tensor![1, 2], tensor![0.5, 1.5]]);
    assert_eq!((x.dtype(), x.to_vec::<f32>()), (DType::F32, vec![0.5, 3.0]));
    let edges = tensor![[false, true, false], [false, false, true], [false, false, false]];
    let two_steps = Tensor::einsum("ij,jk->ik", &[&edges, &edges]);
    assert_eq!(two_steps.dtype(), DType::Bool);
    assert_eq!(two_steps.to_vec::<bool>(), [false, false, true, false, false, false, false, false, false]);
    for dtype in DType::ALL {
        let x = Tensor::full([2, 2], 1, dtype);
        assert_eq!(Tensor::einsum("ij,jk->ki", &[&x, &x]).dtype(), dtype);
    }
}

#[test]
fn mistakes_are_named() {
    let fails = |subscripts: &str, shapes: &[&[usize]], why: &str| {
        let operands: Vec<Tensor> = shapes.iter().map(|shape| Tensor::zeros(*shape)).collect();
        let message = try_catch(|| Tensor::einsum(subscripts, &operands)).unwrap_err().to_string();
        assert!(message.starts_with(&format!("einsum: {subscripts:?} with ")), "{message}");
        assert!(message.contains(why), "{message}");
    };
    let message = try_catch(|| Tensor::einsum("ij,jk->ik", &[Tensor::zeros([2, 3]), Tensor::zeros([4, 5])]));
    assert_eq!(
        message.unwrap_err().to_string(),
        "einsum: \"ij,jk->ik\" with f32[2,3], f32[4,5]: 'j' has size 3 in operand 0 and 4 in operand 1; sizes must be \
         equal or 1"
    );
    fails("ij,jk", &[&[2, 3]], "for 2 operands, but there is 1");
    fails("ij", &[&[2, 3], &[2]], "for 1 operand, but there are 2");
    fails("ij", &[], "at least one operand");
    fails("ij", &[&[2, 3, 4]], "'ij' names 2 axes, but operand 0 has 3");
    fails("ij...", &[&[2]], "'ij...' names 2 axes, but operand 0 has only 1");
    fails("...i...", &[&[2, 3]], "'...' more than once");
    fails("i..", &[&[2, 3]], "'.' outside of '...'");
    fails("i1", &[&[2, 3]], "'1' in 'i1' is no letter");
    fails("é", &[&[2]], "'é' in 'é' is no letter");
    fails("ij->ijj", &[&[2, 3]], "'j' is in the result 'ijj' more than once");
    fails("ij->ik", &[&[2, 3]], "'k' is in the result 'ik' but in no operand");
    fails("...i->i", &[&[2, 3]], "needs '...'");
    fails("i->i->i", &[&[2]], "is no letter");
    fails("ii", &[&[2, 3]], "'i' has size 2 in operand 0 and 3 in operand 0");
    fails("...i,...i", &[&[2, 3], &[4, 3]], "axis -1 of '...' has size 2 in operand 0 and 4 in operand 1");
}
