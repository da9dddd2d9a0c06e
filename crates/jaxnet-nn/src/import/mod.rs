//! Parameters that other libraries have trained.

mod flax;
mod torch;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jaxnet_tensor::{Aval, Error, Result, Shape, Tensor, tree};

use crate::params::{Params, Vars};
use crate::save::load_tensors;

/// What says that a convolution is transposed.
const TRANSPOSED: &str = "transposed:";

/// Which library's names and layouts tensors have, for [`StateDict::to_vars`].
///
/// # PyTorch
///
/// | here | there |
/// |---|---|
/// | `kernel` of [`Dense`](crate::Dense) | `weight`, transposed |
/// | `kernel` of [`Conv`](crate::Conv) | `weight`, with its channels moved to the end |
/// | `kernel` of a transposed one | `weight`, also flipped along its spatial axes |
/// | `kernel`, `scale` with weight normalization | `weight_v`, `weight_g`, or `parametrizations.weight.original1`, `0` |
/// | `bias` | `bias` |
/// | `gamma`, `beta`, `mean`, `var` of norms | `weight`, `bias`, `running_mean`, `running_var` |
/// | `embedding`; `slope` of [`PRelu`](crate::PRelu) | `weight` |
/// | `query.kernel`, … of [`MultiHeadAttention`](crate::MultiHeadAttention) | thirds of `in_proj_weight`, `in_proj_bias`; `out_proj` |
/// | recurrent cells | `weight_ih`, `weight_hh`, transposed, and `bias_ih` and `bias_hh`, added up where they always are |
///
/// Recurrent layers have several cells in one module there, told apart by the ends of names: `*` in a module's name
/// stands for what is before that, as in `lstm.*_l0` and `lstm.*_l0_reverse`.
///
/// Transposed convolutions are known by their path, where it ends in `conv_transpose`, possibly with a number;
/// `transposed:` before a module's name in the file says so elsewhere. PyTorch's `padding=p` of a transposed
/// convolution with kernels of `k` is `(k - 1 - p, k - 1 - p + output_padding)` here.
///
/// # Flax
///
/// Names are paths joined by `.` or `/`, such as `params.Dense_0.kernel` and `batch_stats.BatchNorm_0.mean`, from
/// which a module's name, `Dense_0`, leaves the collection out.
///
/// | here | there |
/// |---|---|
/// | `kernel`, `bias`, `embedding`, `mean`, `var` | the same |
/// | `gamma`, `beta` of norms | `scale`, `bias` |
/// | `query.kernel`, … of [`MultiHeadAttention`](crate::MultiHeadAttention) | the same, with an axis for heads |
/// | `slope` of [`PRelu`](crate::PRelu) | `negative_slope` |
/// | [`LstmCell`](crate::LstmCell), [`ResetAfterGruCell`](crate::ResetAfterGruCell), [`RnnCell`](crate::RnnCell) | `ii.kernel`, `hi.kernel`, … of `LSTMCell`, `GRUCell`, `SimpleCell` |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A `state_dict`.
    PyTorch,
    /// A flattened tree of variables.
    Flax,
}

/// Tensors with names, as other libraries save what they have trained.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
/// use jaxnet_nn::{Source, StateDict};
///
/// // As from `StateDict::load("model.safetensors")?`.
/// let file = StateDict::from_iter([
///     ("encoder.0.weight".to_string(), Tensor::ones([8, 3])),
///     ("encoder.0.bias".to_string(), Tensor::zeros([8])),
///     ("encoder.2.weight".to_string(), Tensor::ones([2, 8])),
///     ("encoder.2.bias".to_string(), Tensor::zeros([2])),
/// ]);
/// let net = sequential![Dense::new(8), relu, Dense::new(2)];
/// let x = Tensor::ones([1, 3]);
/// let vars = net.init(Key::new(0), &x);
/// let vars = file.to_vars(&vars, Source::PyTorch, |module| match module {
///     "dense0" => "encoder.0".to_string(),
///     _ => "encoder.2".to_string(),
/// })?;
/// assert_eq!(net.call(&vars, &x, Mode::Eval).0.to_vec::<f32>(), [24.0, 24.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    tensors: BTreeMap<String, Tensor>,
}

impl FromIterator<(String, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        StateDict { tensors: tensors.into_iter().collect() }
    }
}

impl StateDict {
    /// Reads a file in the format of safetensors, or, if its name ends so, `.npz`.
    ///
    /// In Python, `safetensors.torch.save_file(model.state_dict(), path)` writes it, and
    /// `safetensors.flax.save_file(flax.traverse_util.flatten_dict(variables, sep="."), path)`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not whole, or a tensor is of a dtype that tensors cannot have here.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
            return Ok(Tensor::load_npz(path)?.into_iter().collect());
        }
        Ok(load_tensors(path)?.into_iter().collect())
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Those tensors whose names `keep` picks.
    pub fn filter(&self, keep: impl Fn(&str) -> bool) -> Self {
        let kept = self.tensors.iter().filter(|(name, _)| keep(name));
        StateDict { tensors: kept.map(|(name, tensor)| (name.clone(), tensor.clone())).collect() }
    }

    /// The tensors as the variables of a model, with names, layouts and dtypes of `template`, which the model's
    /// [`init`](crate::Module::init) makes; what [`eval_shape`](jaxnet_autograd::eval_shape) of that gives will do.
    ///
    /// `name` says for each module, by its path here (`sequential.dense0`, or the empty path), what it is called in
    /// the file; [`Source`] says how its parameters are. For a module for which it gives `None`, what the template
    /// has stays, as for a new last layer.
    ///
    /// # Errors
    ///
    /// If the file lacks a tensor, has one of another shape, or one that no module asks for, which may be
    /// [`filter`](Self::filter)ed out before (PyTorch's `num_batches_tracked` does not count).
    pub fn to_vars<N: Into<Option<String>>>(
        &self,
        template: &Vars,
        source: Source,
        name: impl Fn(&str) -> N,
    ) -> Result<Vars> {
        let normalized;
        let tensors = match source {
            Source::PyTorch => &self.tensors,
            Source::Flax => {
                normalized = self.tensors.iter().map(|(name, x)| (name.replace('/', "."), x.clone())).collect();
                &normalized
            }
        };
        let name = |module: &str| name(module).into();
        let file = Reader { tensors, name: &name, used: RefCell::default() };
        let params = file.fill(&template.params, source)?;
        let state = file.fill(&template.state, source)?;
        let used = file.used.into_inner();
        let counts = |name: &&String| !used.contains(*name) && !name.ends_with("num_batches_tracked");
        let unused: Vec<&String> = tensors.keys().filter(counts).collect();
        if let Some(first) = unused.first() {
            let others =
                if unused.len() > 1 { format!(", nor for {} others", unused.len() - 1) } else { String::new() };
            let message = format!("the file has this, but no module asks for it{others}; `filter` leaves tensors out");
            return Err(Error::tree(first.as_str(), message));
        }
        Ok(Vars { params, state })
    }
}

/// A file that is being read for a model.
struct Reader<'a> {
    tensors: &'a BTreeMap<String, Tensor>,
    name: &'a dyn Fn(&str) -> Option<String>,
    used: RefCell<BTreeSet<String>>,
}

impl Reader<'_> {
    fn fill(&self, template: &Params, source: Source) -> Result<Params> {
        let (leaves, structure) = tree::flatten(template);
        let paths = structure.paths();
        let all: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        let mut filled = Vec::new();
        for (path, leaf) in paths.iter().zip(leaves) {
            let (module, name) = path.rsplit_once('.').unwrap_or(("", path));
            let sibling =
                |name: &str| all.contains(&*if module.is_empty() { name.into() } else { format!("{module}.{name}") });
            let wanted = Wanted { file: self, path, module, name, aval: leaf.aval(), sibling: &sibling };
            if wanted.prefix(module).is_none() {
                filled.push(leaf);
                continue;
            }
            let found = match source {
                Source::PyTorch => torch::find(&wanted),
                Source::Flax => flax::find(&wanted),
            }?;
            if found.shape() != leaf.shape() {
                let message = format!("needs {}, the file has {} in the layout here", leaf.aval(), found.aval());
                return Err(Error::tree(path, message));
            }
            filled.push(found.astype(leaf.dtype()));
        }
        tree::unflatten(&structure, filled)
    }

    fn take(&self, name: &str) -> Option<Tensor> {
        let found = self.tensors.get(name)?;
        self.used.borrow_mut().insert(name.to_string());
        Some(found.clone())
    }
}

/// A parameter that is looked for.
struct Wanted<'a> {
    file: &'a Reader<'a>,
    path: &'a str,
    module: &'a str,
    name: &'a str,
    aval: &'a Aval,
    /// Whether the module has another of this name.
    sibling: &'a dyn Fn(&str) -> bool,
}

impl Wanted<'_> {
    /// What a module is called in the file.
    fn prefix(&self, module: &str) -> Option<String> {
        (self.file.name)(module)
    }

    /// Whether the module is a transposed convolution.
    fn is_transposed(&self) -> bool {
        let said = self.prefix(self.module).is_some_and(|prefix| prefix.starts_with(TRANSPOSED));
        said || self.parent().1.starts_with("conv_transpose")
    }

    /// The module above, and the last part of this one's path.
    fn parent(&self) -> (&str, &str) {
        self.module.rsplit_once('.').unwrap_or(("", self.module))
    }

    /// What a parameter of a module is called in the file.
    fn key(&self, module: &str, name: &str) -> Option<String> {
        let prefix = self.prefix(module)?;
        Some(match prefix.strip_prefix(TRANSPOSED).unwrap_or(&prefix) {
            "" => name.to_string(),
            pattern if pattern.contains('*') => pattern.replace('*', name),
            prefix => format!("{prefix}.{name}"),
        })
    }

    /// The tensor of this module of this name there, if there is one.
    fn optional(&self, name: &str) -> Option<Tensor> {
        self.file.take(&self.key(self.module, name)?)
    }

    fn required(&self, name: &str) -> Result<Tensor> {
        self.optional(name).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Error {
        let key = self.key(self.module, name).unwrap_or_default();
        // What the module's name is the beginning of may tell the mistake.
        let start = key.split('.').next().unwrap_or("");
        let mut near: Vec<&str> = self.file.tensors.keys().map(String::as_str).collect();
        if near.iter().any(|name| name.starts_with(start)) {
            near.retain(|name| name.starts_with(start));
        }
        let more = if near.len() > 8 { ", …" } else { "" };
        near.truncate(8);
        Error::tree(self.path, format!("the file does not have `{key}`; there are {}{more}", near.join(", ")))
    }

    fn unknown<T>(&self, source: &str) -> Result<T> {
        let message = format!("it is not known where {source} has a parameter like this");
        Err(Error::tree(self.path, message))
    }

    /// The shape that the parameter has here.
    fn shape(&self) -> &Shape {
        &self.aval.shape
    }

    /// An error about a tensor of the file.
    fn misfit<T>(&self, name: &str, found: &Tensor) -> Result<T> {
        let message = format!("needs {}, which `{name}` of the file, {}, cannot be", self.aval, found.aval());
        Err(Error::tree(self.path, message))
    }
}
