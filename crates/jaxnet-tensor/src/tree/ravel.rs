//! Trees as vectors.

use super::{Structure, Tree, flatten, unflatten};
use crate::error::{Error, OrRaise, Result, raise};
use crate::lax;
use crate::tensor::Tensor;

/// All elements of a tree in one vector, in the order of the leaves and in row-major order in each. Dtypes are
/// promoted; of a tree without leaves there are no elements, of f32.
///
/// With [`unravel`], what works on vectors (Hessians, Newton's and quasi-Newton methods, evolution) works on parameters.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{Tensor, tensor, tree};
///
/// let params = (tensor![[1.0, 2.0], [3.0, 4.0]], tensor![5.0]);
/// let vector = tree::ravel(&params);
/// assert_eq!(vector.to_vec::<f32>(), [1.0, 2.0, 3.0, 4.0, 5.0]);
///
/// let (kernel, bias) = tree::unravel(&(vector * 10.0), &params);
/// assert_eq!(kernel.to_vec::<f32>(), [10.0, 20.0, 30.0, 40.0]);
/// assert_eq!(bias.to_vec::<f32>(), [50.0]);
/// ```
///
/// # Panics
///
/// If a leaf is a random key, which is named: numbers that are computed are no key.
#[track_caller]
pub fn ravel<T: Tree>(tree: &T) -> Tensor {
    let (leaves, structure) = flatten(tree);
    refuse_keys("ravel", &structure).or_raise();
    if leaves.is_empty() {
        return Tensor::zeros([0]);
    }
    let rows: Result<Vec<Tensor>> = leaves.iter().map(|leaf| lax::reshape(leaf, [leaf.size()])).collect();
    Tensor::concatenate(&rows.or_raise(), 0)
}

/// The tree of the structure, shapes and dtypes of `like`, whose values do not matter, with the elements of a vector as
/// [`ravel`] puts them there.
///
/// # Panics
///
/// If it is no vector of as many elements as the tree has, or a leaf is a random key.
#[track_caller]
pub fn unravel<T: Tree>(vector: &Tensor, like: &T) -> T {
    let (leaves, structure) = flatten(like);
    refuse_keys("unravel", &structure).or_raise();
    let size: usize = leaves.iter().map(Tensor::size).sum();
    if vector.shape().dims() != [size] {
        let message = format!("the tree has {size} elements, so it takes a vector of as many, got {}", vector.aval());
        raise(Error::invalid("unravel", message));
    }
    let mut start = 0;
    let parts = leaves.iter().map(|leaf| {
        let part = lax::slice_axis(vector, 0, start, start + leaf.size(), 1)?;
        start += leaf.size();
        lax::convert(&lax::reshape(&part, leaf.shape())?, leaf.dtype())
    });
    let parts = parts.collect::<Result<_>>().or_raise();
    unflatten(&structure, parts).or_raise()
}

fn refuse_keys(op: &str, structure: &Structure) -> Result<()> {
    match structure.keys().iter().position(|&is_key| is_key) {
        None => Ok(()),
        Some(i) => {
            let name = structure.name(i, "the tree");
            Err(Error::invalid(
                op,
                format!("{name} is a random key, whose words are no numbers; leave it out of the tree"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::error::try_catch;
    use crate::key::Key;
    use crate::tensor;

    #[test]
    fn trees_come_back_as_they_were() {
        let tree = (
            vec![tensor![[1, 2], [3, 4]], Tensor::zeros([0, 3])],
            Some(tensor![0.5].astype(DType::BF16)),
            Tensor::scalar(7.0_f64),
        );
        let vector = ravel(&tree);
        assert_eq!((vector.dtype(), vector.to_vec::<f64>()), (DType::F64, vec![1.0, 2.0, 3.0, 4.0, 0.5, 7.0]));
        let again = unravel(&vector, &tree);
        for (old, new) in tree.leaves().iter().zip(again.leaves()) {
            assert_eq!(new.aval(), &old.aval().strong());
            assert!(new.eq(old).all().item::<bool>());
        }
        let nothing: Vec<Tensor> = Vec::new();
        assert_eq!(ravel(&nothing).aval().to_string(), "f32[0]");
        assert!(unravel(&ravel(&nothing), &nothing).is_empty());
    }

    #[test]
    fn other_vectors_and_keys_are_refused() {
        let refused = |f: &dyn Fn()| try_catch(f).unwrap_err().to_string();
        let like = (tensor![1.0, 2.0], tensor![3.0]);
        let said = refused(&|| drop(unravel(&tensor![1.0, 2.0], &like)));
        assert!(said.contains("3 elements") && said.contains("f32[2]"), "{said}");
        assert!(refused(&|| drop(unravel(&tensor![[1.0, 2.0, 3.0]], &like))).contains("f32[1,3]"));
        let said = refused(&|| drop(ravel(&(tensor![1.0], Key::new(0)))));
        assert!(said.contains("`1` is a random key"), "{said}");
    }
}
