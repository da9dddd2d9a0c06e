//! Whole Jacobians and Hessians.

use jaxnet_tensor::{Error, OrRaise, Result, Shape, Tensor, Tree, lax, tree};

use crate::batch::{batch_leaves, move_batch};
use crate::forward::{instantiate, jvp_leaves};
use crate::function::{Function, Made, check_differentiable};
use crate::reverse::{grad, linearize_leaves};

/// The unit vectors of a tensor, along a new leading axis.
fn basis(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    let shape: Shape = std::iter::once(size).chain(x.shape().iter().copied()).collect();
    Tensor::eye(size).astype(x.dtype()).reshape(shape).beside(x)
}

fn check(what: &str, x: &Tensor) -> Result<()> {
    if x.dtype().is_float() {
        return Ok(());
    }
    Err(Error::Differentiation(format!("{what}: {} has no derivative; only floating-point tensors do", x.aval())))
}

/// The Jacobian of a function from a tensor to a tensor, by forward mode: one run per element of the
/// argument, all at once. Its axes are those of the result, then those of the argument.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::jacfwd;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let jacobian = jacfwd(|x: Tensor| x.square())(tensor![1.0, 2.0]);
/// assert_eq!(jacobian.to_vec::<f32>(), [2.0, 0.0, 0.0, 4.0]);
/// ```
#[track_caller]
pub fn jacfwd<F: Function<Tensor, Output = Tensor>>(f: F) -> impl Fn(Tensor) -> Tensor {
    let made = Made::by("jacfwd");
    move |x: Tensor| made.unwrap(try_jacfwd(&f, x))
}

fn try_jacfwd(f: &impl Function<Tensor, Output = Tensor>, x: Tensor) -> Result<Tensor> {
    check("jacfwd", &x)?;
    let units = basis(&x)?;
    let push = |unit: &[Tensor]| {
        let run = |values: &[Tensor]| Ok(vec![f.run(values[0].clone())]);
        let (outputs, tangents) = jvp_leaves(run, std::slice::from_ref(&x), &[Some(unit[0].clone())])?;
        check("jacfwd", &outputs[0])?;
        instantiate(&outputs, tangents)
    };
    let (columns, axes) = batch_leaves(push, x.size(), &[units], &[Some(0)])?;
    let rank = columns[0].rank() - axes[0].is_some() as usize;
    let columns = move_batch(&columns[0], x.size(), axes[0], rank)?;
    let shape: Shape = columns.shape()[..rank].iter().chain(x.shape().iter()).copied().collect();
    lax::reshape(&columns, shape)
}

/// The Jacobian of a function from a tensor to a tensor, by reverse mode: one run back per element of
/// the result, all at once. Its axes are those of the result, then those of the argument.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::jacrev;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let jacobian = jacrev(|x: Tensor| x.square())(tensor![1.0, 2.0]);
/// assert_eq!(jacobian.to_vec::<f32>(), [2.0, 0.0, 0.0, 4.0]);
/// ```
#[track_caller]
pub fn jacrev<F: Function<Tensor, Output = Tensor>>(f: F) -> impl Fn(Tensor) -> Tensor {
    let made = Made::by("jacrev");
    move |x: Tensor| made.unwrap(try_jacrev(&f, x))
}

fn try_jacrev(f: &impl Function<Tensor, Output = Tensor>, x: Tensor) -> Result<Tensor> {
    check("jacrev", &x)?;
    let run = |values: &[Tensor]| Ok(vec![f.run(values[0].clone())]);
    let (outputs, linear) = linearize_leaves(run, std::slice::from_ref(&x))?;
    let y = &outputs[0];
    check("jacrev", y)?;
    let pull = |unit: &[Tensor]| {
        let cotangents = linear.transpose(vec![Some(unit[0].clone())])?;
        instantiate(std::slice::from_ref(&x), cotangents)
    };
    let (rows, axes) = batch_leaves(pull, y.size(), &[basis(y)?], &[Some(0)])?;
    let rows = move_batch(&rows[0], y.size(), axes[0], 0)?;
    let shape: Shape = y.shape().iter().chain(x.shape().iter()).copied().collect();
    lax::reshape(&rows, shape)
}

/// The Hessian of a function from a tensor to a tensor: second derivatives, with the axes of the result,
/// then twice those of the argument. For a function of a tree see [`hessian_tree`].
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::{hessian, jit};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let curvature = jit(hessian(|x: Tensor| (&x * &x).sum()));
/// assert_eq!(curvature.call(tensor![1.0, 2.0]).to_vec::<f32>(), [2.0, 0.0, 0.0, 2.0]);
/// ```
#[track_caller]
pub fn hessian<F: Function<Tensor, Output = Tensor>>(f: F) -> impl Fn(Tensor) -> Tensor {
    let made = Made::by("hessian");
    let gradient = move |x: Tensor| made.unwrap(try_jacrev(&f, x));
    move |x: Tensor| made.unwrap(try_jacfwd(&gradient, x))
}

/// The Hessian of a function from a tree to a scalar, as blocks: see [`Hessian`].
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::hessian_tree;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let f = |(x, y): (Tensor, Tensor)| (x * y).sum();
/// let curvature = hessian_tree(f)((tensor![1.0, 2.0], tensor![3.0, 4.0]));
/// assert_eq!(curvature.block("0", "1").to_vec::<f32>(), [1.0, 0.0, 0.0, 1.0]);
/// ```
#[track_caller]
pub fn hessian_tree<A: Tree, F: Function<A, Output = Tensor>>(f: F) -> impl Fn(A) -> Hessian {
    let (made, gradient) = (Made::by("hessian_tree"), grad(f));
    move |argument: A| made.unwrap(try_hessian_tree(&gradient, argument))
}

fn try_hessian_tree<A: Tree>(gradient: &impl Fn(A) -> A, argument: A) -> Result<Hessian> {
    let (primals, structure) = tree::flatten(&argument);
    check_differentiable("hessian_tree", &structure, &primals)?;
    let run = |values: &[Tensor]| Ok(gradient(tree::unflatten(&structure, values.to_vec())?).leaves());
    let mut blocks: Vec<Vec<Tensor>> = vec![Vec::new(); primals.len()];
    for (j, x) in primals.iter().enumerate() {
        let push = |unit: &[Tensor]| {
            let tangents: Vec<Option<Tensor>> = (0..primals.len()).map(|i| (i == j).then(|| unit[0].clone())).collect();
            let (outputs, tangents) = jvp_leaves(run, &primals, &tangents)?;
            instantiate(&outputs, tangents)
        };
        let (columns, axes) = batch_leaves(push, x.size(), &[basis(x)?], &[Some(0)])?;
        for ((row, column), axis) in blocks.iter_mut().zip(&columns).zip(axes) {
            let rank = column.rank() - axis.is_some() as usize;
            let column = move_batch(column, x.size(), axis, rank)?;
            let shape: Shape = column.shape()[..rank].iter().chain(x.shape().iter()).copied().collect();
            row.push(lax::reshape(&column, shape)?);
        }
    }
    Ok(Hessian { paths: structure.paths(), blocks })
}

/// Second derivatives of a function of a tree, one block for each pair of leaves.
#[derive(Debug, Clone)]
pub struct Hessian {
    paths: Vec<String>,
    blocks: Vec<Vec<Tensor>>,
}

impl Hessian {
    /// The second derivatives by the leaves at two paths, with the axes of the first, then those of the
    /// second.
    ///
    /// # Panics
    ///
    /// If there is no leaf at a path.
    #[track_caller]
    pub fn block(&self, row: &str, column: &str) -> &Tensor {
        let find = |path: &str| {
            self.paths
                .iter()
                .position(|here| here == path)
                .ok_or_else(|| Error::tree(path, format!("there is no such leaf; there are {}", self.paths.join(", "))))
        };
        &self.blocks[find(row).or_raise()][find(column).or_raise()]
    }

    /// The paths of the leaves, in order.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// All second derivatives as one matrix over the elements of all leaves, in order.
    #[track_caller]
    pub fn to_matrix(&self) -> Tensor {
        let sizes: Vec<usize> = (0..self.paths.len()).map(|i| self.blocks[i][i].size().isqrt()).collect();
        let rows: Vec<Tensor> = self
            .blocks
            .iter()
            .enumerate()
            .map(|(i, row)| {
                let row: Vec<Tensor> =
                    row.iter().enumerate().map(|(j, block)| block.reshape([sizes[i], sizes[j]])).collect();
                Tensor::concatenate(&row, 1)
            })
            .collect();
        Tensor::concatenate(&rows, 0)
    }
}

/// The Hessian of a function from a tree to a scalar, times a vector of the same structure, without
/// making the Hessian (Pearlmutter 1994).
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::hvp;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let product = hvp(|x: Tensor| x.powi(3).sum(), tensor![1.0, 2.0], tensor![1.0, 1.0]);
/// assert_eq!(product.to_vec::<f32>(), [6.0, 12.0]);
/// ```
#[track_caller]
pub fn hvp<A: Tree, F: Function<A, Output = Tensor>>(f: F, at: A, vector: A) -> A {
    crate::jvp(grad(f), at, vector).1
}
