//! Operations that hold programs, and those that only direct the compiler.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use super::{Avals, arity};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::program::Program;

/// An operation that holds programs, or that only directs the compiler.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// Runs a program on the operands.
    Call {
        /// For reading.
        name: Arc<str>,
        /// What to run.
        program: Program,
    },
    /// Runs a program; derivatives compute its intermediate values anew instead of keeping them.
    Checkpoint {
        /// What to run.
        program: Program,
    },
    /// `(index, operands…)`: runs the branch with that i32 index (clamped) on the operands.
    Cond {
        /// The branches, all of one signature.
        branches: Vec<Program>,
    },
    /// `(cond_consts…, body_consts…, carry…)`: runs `body(body_consts…, carry…)` as long as
    /// `cond(cond_consts…, carry…)` holds.
    While {
        /// Says whether to go on.
        cond: Program,
        /// Makes the next carry.
        body: Program,
        /// The number of operands that only `cond` sees.
        cond_consts: usize,
        /// The number of operands that only `body` sees.
        body_consts: usize,
    },
    /// `(consts…, carry…, xs…)`: runs `body(consts…, carry…, x…) -> (carry…, y…)` for each index along
    /// the leading axis of the `xs`, and stacks the `y`s.
    Scan {
        /// The step.
        body: Program,
        /// The number of steps.
        length: usize,
        /// From the last index to the first.
        reverse: bool,
        /// The number of operands that every step sees.
        consts: usize,
        /// The number of operands that go from step to step.
        carry: usize,
    },
    /// Runs `body`; its derivative is `rule`, a program `(primals…, tangents…) -> (outputs…, tangents…)`
    /// with tangents for floating-point values only.
    CustomJvp {
        /// The function.
        body: Program,
        /// Its derivative.
        rule: Rule,
    },
    /// Runs `body`; its derivative in reverse mode is made of `forward`, a program
    /// `(inputs…) -> (outputs…, residuals…)`, and `backward`, a program
    /// `(residuals…, cotangents…) -> (cotangents…)`, with cotangents for floating-point values only.
    CustomVjp {
        /// The function.
        body: Program,
        /// The function as reverse mode runs it.
        forward: Rule,
        /// The reverse pass.
        backward: Rule,
    },
    /// `(residuals…, tangents…)`: the linear map of which `backward` is the transpose; it can be
    /// transposed but not run.
    CustomLinear {
        /// The transpose.
        backward: Rule,
        /// The number of residuals.
        residuals: usize,
        /// What the linear map gives.
        outputs: Vec<Aval>,
    },
    /// Runs `body`, for which a backend may know a faster kernel by `name` and `attributes`.
    Composite {
        /// What backends know it by.
        name: Arc<str>,
        /// Parameters for the kernel, in a form that belongs to the name.
        attributes: Arc<str>,
        /// What it computes.
        body: Program,
    },
    /// The operands as they are, where the compiler must not look through.
    OptimizationBarrier,
    /// The operands as they are, with derivative zero.
    StopGradient,
    /// The operands as they are, after doing something with their values on the host.
    Debug(DebugAction),
}

/// What to do with values on the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DebugAction {
    /// Print a message in which each `{}` stands for an operand's value.
    Print(Arc<str>),
    /// Fail if a value is NaN, saying what computed it.
    CheckNan(Arc<str>),
}

/// A program that is traced when it is first asked for, and known by an identity until then.
///
/// Derivative rules are such programs: most are never needed, and one may use the very function that
/// it belongs to.
#[derive(Clone)]
pub struct Rule(Arc<RuleInner>);

struct RuleInner {
    id: Vec<u64>,
    make: Box<dyn Fn() -> Result<Program> + Send + Sync>,
    program: OnceLock<Program>,
}

impl Rule {
    /// A rule that `make` traces. Rules of equal `id` must be of equal programs.
    pub fn new(id: Vec<u64>, make: impl Fn() -> Result<Program> + Send + Sync + 'static) -> Self {
        Rule(Arc::new(RuleInner { id, make: Box::new(make), program: OnceLock::new() }))
    }

    /// What makes it equal to others.
    pub fn id(&self) -> &[u64] {
        &self.0.id
    }

    /// The program, traced at the first call.
    ///
    /// # Errors
    ///
    /// What tracing it says.
    pub fn program(&self) -> Result<Program> {
        if let Some(program) = self.0.program.get() {
            return Ok(program.clone());
        }
        // Not under the cell's lock, since tracing may come back here; both would trace the same.
        let program = (self.0.make)()?;
        Ok(self.0.program.get_or_init(|| program).clone())
    }

    /// A rule derived from this one by `transform`, which `tag` identifies.
    pub fn derive(
        &self,
        tag: impl IntoIterator<Item = u64>,
        transform: impl Fn(&Program) -> Result<Program> + Send + Sync + 'static,
    ) -> Self {
        let mut id = self.0.id.clone();
        id.push(u64::MAX);
        id.extend(tag);
        let of = self.clone();
        Rule::new(id, move || transform(&of.program()?))
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Rule {}

impl Hash for Rule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({:?})", self.0.id)
    }
}

impl Control {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Control::Call { .. } => "call",
            Control::Checkpoint { .. } => "checkpoint",
            Control::Cond { .. } => "cond",
            Control::While { .. } => "while",
            Control::Scan { .. } => "scan",
            Control::CustomJvp { .. } => "custom_jvp",
            Control::CustomVjp { .. } => "custom_vjp",
            Control::CustomLinear { .. } => "custom_linear",
            Control::Composite { .. } => "composite",
            Control::OptimizationBarrier => "optimization_barrier",
            Control::StopGradient => "stop_gradient",
            Control::Debug(DebugAction::Print(_)) => "debug_print",
            Control::Debug(DebugAction::CheckNan(_)) => "check_nan",
        }
    }

    /// The programs that it holds, but for rules.
    pub fn programs(&self) -> Vec<&Program> {
        match self {
            Control::Call { program, .. } | Control::Checkpoint { program } => vec![program],
            Control::Cond { branches } => branches.iter().collect(),
            Control::While { cond, body, .. } => vec![cond, body],
            Control::Scan { body, .. }
            | Control::CustomJvp { body, .. }
            | Control::CustomVjp { body, .. }
            | Control::Composite { body, .. } => vec![body],
            Control::CustomLinear { .. } | Control::OptimizationBarrier | Control::StopGradient | Control::Debug(_) => {
                vec![]
            }
        }
    }

    /// The same operation with other [programs](Self::programs), which must be of the same signatures.
    ///
    /// # Errors
    ///
    /// What `f` says.
    pub fn map_programs(&self, f: impl Fn(&Program) -> Result<Program>) -> Result<Control> {
        let mut control = self.clone();
        match &mut control {
            Control::Call { program, .. } | Control::Checkpoint { program } => *program = f(program)?,
            Control::Cond { branches } => {
                for branch in branches {
                    *branch = f(branch)?;
                }
            }
            Control::While { cond, body, .. } => (*cond, *body) = (f(cond)?, f(body)?),
            Control::Scan { body, .. }
            | Control::CustomJvp { body, .. }
            | Control::CustomVjp { body, .. }
            | Control::Composite { body, .. } => *body = f(body)?,
            Control::CustomLinear { .. } | Control::OptimizationBarrier | Control::StopGradient | Control::Debug(_) => {
            }
        }
        Ok(control)
    }

    pub(super) fn has_effect(&self) -> bool {
        matches!(self, Control::Debug(_)) || self.programs().iter().any(|program| program.has_effect())
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        match self {
            Control::Call { name, .. } => write!(f, "name={name}"),
            Control::Composite { name, attributes, .. } if attributes.is_empty() => write!(f, "name={name}"),
            Control::Composite { name, attributes, .. } => write!(f, "name={name} attributes={attributes}"),
            Control::While { cond_consts, body_consts, .. } => {
                write!(f, "cond_consts={cond_consts} body_consts={body_consts}")
            }
            Control::Scan { length, reverse, consts, carry, .. } => {
                write!(f, "length={length} reverse={reverse} consts={consts} carry={carry}")
            }
            Control::CustomLinear { residuals, .. } => write!(f, "residuals={residuals}"),
            Control::Debug(DebugAction::Print(text) | DebugAction::CheckNan(text)) => write!(f, "{text:?}"),
            _ => Ok(()),
        }
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Avals> {
        let op = self.name();
        match self {
            Control::Call { program, .. }
            | Control::Checkpoint { program }
            | Control::CustomJvp { body: program, .. }
            | Control::CustomVjp { body: program, .. }
            | Control::Composite { body: program, .. } => {
                check_signature(op, program, inputs)?;
                Ok(program.output_avals().collect())
            }
            Control::Cond { branches } => {
                let Some((index, operands)) = inputs.split_first() else {
                    return Err(Error::invalid(op, "needs an index"));
                };
                if index.dtype != DType::I32 || index.rank() != 0 {
                    return Err(Error::invalid(op, format!("the index must be an i32 scalar, got {index}")));
                }
                let Some(first) = branches.first() else {
                    return Err(Error::invalid(op, "needs at least one branch"));
                };
                for branch in branches {
                    check_signature(op, branch, operands)?;
                    if !same_types(branch.output_avals(), first.output_avals()) {
                        return Err(Error::invalid(
                            op,
                            format!(
                                "branches must give results of the same shapes and dtypes, got ({}) and ({})",
                                list(first.output_avals()),
                                list(branch.output_avals())
                            ),
                        ));
                    }
                }
                // Weak only where every branch is.
                Ok(first
                    .output_avals()
                    .enumerate()
                    .map(|(i, aval)| Aval { weak: branches.iter().all(|branch| branch.output_aval(i).weak), ..aval })
                    .collect())
            }
            Control::While { cond, body, cond_consts, body_consts } => {
                let Some(carry) = inputs.get(cond_consts + body_consts..) else {
                    return Err(Error::invalid(op, "has fewer operands than constants"));
                };
                let with = |consts: &[&Aval]| -> Vec<Aval> { consts.iter().chain(carry).map(|&a| a.clone()).collect() };
                let for_cond = with(&inputs[..*cond_consts]);
                let for_body = with(&inputs[*cond_consts..cond_consts + body_consts]);
                check_signature(op, cond, &for_cond.iter().collect::<Vec<_>>())?;
                check_signature(op, body, &for_body.iter().collect::<Vec<_>>())?;
                let verdict: Vec<Aval> = cond.output_avals().collect();
                if verdict.len() != 1 || verdict[0].dtype != DType::Bool || verdict[0].rank() != 0 {
                    return Err(Error::invalid(
                        op,
                        format!("the condition must give one bool scalar, got ({})", list(verdict)),
                    ));
                }
                check_carry(op, carry, &body.output_avals().collect::<Vec<_>>())?;
                Ok(carry.iter().map(|&aval| aval.clone()).collect())
            }
            Control::Scan { body, length, consts, carry, .. } => {
                if inputs.len() < consts + carry {
                    return Err(Error::invalid(op, "has fewer operands than constants and carries"));
                }
                let mut step: Vec<Aval> = inputs[..consts + carry].iter().map(|&aval| aval.clone()).collect();
                for xs in &inputs[consts + carry..] {
                    if xs.rank() == 0 || xs.shape[0] != *length {
                        return Err(Error::invalid(
                            op,
                            format!("cannot take {length} steps along the leading axis of {xs}"),
                        ));
                    }
                    step.push(xs.with_shape(xs.shape.without_axis(0)));
                }
                check_signature(op, body, &step.iter().collect::<Vec<_>>())?;
                let outputs: Vec<Aval> = body.output_avals().collect();
                if outputs.len() < *carry {
                    return Err(Error::invalid(op, "the step gives fewer results than carries"));
                }
                let carries = &inputs[*consts..consts + carry];
                check_carry(op, carries, &outputs[..*carry])?;
                let stacked = outputs[*carry..].iter().map(|y| y.with_shape(y.shape.with_axis(0, *length)));
                Ok(carries.iter().map(|&aval| aval.clone()).chain(stacked).collect())
            }
            Control::CustomLinear { outputs, .. } => Ok(outputs.iter().cloned().collect()),
            Control::OptimizationBarrier | Control::StopGradient => {
                Ok(inputs.iter().map(|&aval| aval.clone()).collect())
            }
            Control::Debug(action) => {
                if let DebugAction::CheckNan(_) = action {
                    arity(op, inputs, 1)?;
                }
                Ok(inputs.iter().map(|&aval| aval.clone()).collect())
            }
        }
    }
}

fn list(avals: impl IntoIterator<Item = Aval>) -> String {
    avals.into_iter().map(|aval| aval.to_string()).collect::<Vec<_>>().join(", ")
}

fn same_types(a: impl Iterator<Item = Aval>, b: impl Iterator<Item = Aval>) -> bool {
    let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.matches(b))
}

fn check_signature(op: &str, program: &Program, inputs: &[&Aval]) -> Result<()> {
    if same_types(program.input_avals().iter().cloned(), inputs.iter().map(|&aval| aval.clone())) {
        return Ok(());
    }
    Err(Error::invalid(
        op,
        format!(
            "a program that takes ({}) got ({})",
            list(program.input_avals().iter().cloned()),
            list(inputs.iter().map(|&aval| aval.clone()))
        ),
    ))
}

fn check_carry(op: &str, carry: &[&Aval], next: &[Aval]) -> Result<()> {
    if carry.len() == next.len() && carry.iter().zip(next).all(|(a, b)| a.matches(b)) {
        return Ok(());
    }
    Err(Error::invalid(
        op,
        format!(
            "each step must give a carry of the shapes and dtypes it got: started with ({}), the step gave ({})",
            list(carry.iter().map(|&aval| aval.clone())),
            list(next.iter().cloned())
        ),
    ))
}
