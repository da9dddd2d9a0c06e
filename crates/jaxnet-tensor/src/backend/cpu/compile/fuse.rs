//! Which equations run together in one loop.

use crate::aval::Aval;
use crate::primitive::{Primitive, ShapeOp};
use crate::program::{Atom, Equation, Program, Var};

/// Equations that run as one step, in order.
pub(super) struct Cluster {
    pub equations: Vec<usize>,
    pub fused: bool,
}

/// How the equations of a program are put together.
pub(super) struct Plan {
    /// The equation that defines each variable.
    defined_by: Vec<Option<usize>>,
    /// Whether an equation is not computed by itself, since those who use it read through it.
    virtual_: Vec<bool>,
    cluster_of: Vec<usize>,
    order: Vec<usize>,
    members: Vec<Vec<usize>>,
    fusible: Vec<bool>,
    /// Whether a variable is a result, or read by another step than the one that computes it.
    read_elsewhere: Vec<bool>,
}

fn is_elementwise(equation: &Equation) -> bool {
    matches!(
        equation.primitive,
        Primitive::Elementwise(_) | Primitive::Random(_) | Primitive::Shape(ShapeOp::Iota { .. })
    )
}

/// A broadcast, which a loop can read through by its strides.
pub(super) fn is_broadcast(equation: &Equation) -> bool {
    matches!(equation.primitive, Primitive::Shape(ShapeOp::BroadcastInDim { .. }))
}

impl Plan {
    pub fn new(program: &Program) -> Plan {
        let equations = program.equations();
        let mut defined_by = vec![None; program.var_count()];
        for (i, equation) in equations.iter().enumerate() {
            for var in &equation.outputs {
                defined_by[var.index()] = Some(i);
            }
        }
        let users = users(program, &defined_by);
        let is_output = |equation: &Equation| {
            program.outputs().iter().any(|atom| atom.var().is_some_and(|var| equation.outputs.contains(&var)))
        };
        let output_shape = |equation: &Equation| program.aval(equation.outputs[0]).shape.clone();
        let fusible: Vec<bool> = equations.iter().map(is_elementwise).collect();
        // A broadcast need not be stored if all who read it are loops over its shape.
        let virtual_: Vec<bool> = equations
            .iter()
            .enumerate()
            .map(|(i, equation)| {
                is_broadcast(equation)
                    && equation.inputs[0].var().is_some()
                    && !is_output(equation)
                    && users[i]
                        .iter()
                        .all(|&user| fusible[user] && output_shape(&equations[user]) == output_shape(equation))
            })
            .collect();
        let mut plan = Plan {
            defined_by,
            virtual_,
            cluster_of: (0..equations.len()).collect(),
            order: Vec::new(),
            members: (0..equations.len()).map(|i| vec![i]).collect(),
            fusible,
            read_elsewhere: vec![false; program.var_count()],
        };
        plan.merge(program);
        plan.find_what_is_read_elsewhere(program);
        plan.sort(program);
        plan
    }

    /// The clusters in an order in which they can run.
    pub fn clusters(&self) -> impl Iterator<Item = Cluster> + '_ {
        self.order.iter().map(|&cluster| {
            let equations = self.members[cluster].clone();
            let fused = self.fusible[equations[0]];
            Cluster { equations, fused }
        })
    }

    /// Whether a variable is a result, or read by another step than the one that computes it.
    pub fn is_read_elsewhere(&self, var: Var) -> bool {
        self.read_elsewhere[var.index()]
    }

    fn find_what_is_read_elsewhere(&mut self, program: &Program) {
        for (i, equation) in program.equations().iter().enumerate() {
            for var in equation.inputs.iter().filter_map(|atom| atom.var()) {
                let producer = self.defined_by[var.index()];
                if producer.is_none_or(|producer| self.cluster_of[producer] != self.cluster_of[i]) {
                    self.read_elsewhere[var.index()] = true;
                }
            }
        }
        for var in program.outputs().iter().filter_map(|atom| atom.var()) {
            self.read_elsewhere[var.index()] = true;
        }
    }

    /// The equation of a broadcast that is read through, if the atom is one.
    pub fn read_through(&self, atom: &Atom) -> Option<usize> {
        self.defined_by[atom.var()?.index()].filter(|&equation| self.virtual_[equation])
    }

    /// The equations that an equation reads from, through broadcasts that are not computed.
    fn producers(&self, program: &Program, equation: usize) -> Vec<usize> {
        let mut producers = Vec::new();
        let mut stack = vec![equation];
        while let Some(equation) = stack.pop() {
            for var in program.equations()[equation].inputs.iter().filter_map(|atom| atom.var()) {
                if let Some(producer) = self.defined_by[var.index()] {
                    if self.virtual_[producer] { stack.push(producer) } else { producers.push(producer) }
                }
            }
        }
        producers
    }

    /// Puts each elementwise equation into the loop of one that it reads from, if both run over one shape
    /// and no other step has to run in between.
    fn merge(&mut self, program: &Program) {
        let equations = program.equations();
        let shape = |i: usize| &program.aval(equations[i].outputs[0]).shape;
        for i in 0..equations.len() {
            if !self.fusible[i] || self.virtual_[i] {
                continue;
            }
            for producer in self.producers(program, i) {
                let (from, to) = (self.cluster_of[i], self.cluster_of[producer]);
                if from == to || !self.fusible[producer] || shape(producer) != shape(i) {
                    continue;
                }
                if self.depends_through_others(program, from, to) {
                    continue;
                }
                for member in std::mem::take(&mut self.members[from]) {
                    self.cluster_of[member] = to;
                    self.members[to].push(member);
                }
            }
        }
        self.members.iter_mut().for_each(|members| members.sort_unstable());
    }

    /// Whether `cluster` depends on `on` through a third cluster, so that they cannot be one.
    fn depends_through_others(&self, program: &Program, cluster: usize, on: usize) -> bool {
        let mut stack: Vec<usize> = Vec::new();
        let mut seen = vec![false; self.members.len()];
        let push = |stack: &mut Vec<usize>, seen: &mut Vec<bool>, of: usize| {
            for &member in &self.members[of] {
                for producer in self.producers(program, member) {
                    let next = self.cluster_of[producer];
                    // Direct reads from `on` are what merging is for.
                    if next != of && !(of == cluster && next == on) && !std::mem::replace(&mut seen[next], true) {
                        stack.push(next);
                    }
                }
            }
        };
        push(&mut stack, &mut seen, cluster);
        while let Some(here) = stack.pop() {
            if here == on {
                return true;
            }
            push(&mut stack, &mut seen, here);
        }
        false
    }

    fn sort(&mut self, program: &Program) {
        let count = self.members.len();
        let mut state = vec![0_u8; count];
        // Depth first, in the order of the program; an explicit stack, since programs can be long.
        for start in 0..count {
            let root = self.cluster_of[start];
            if self.virtual_[start] || state[root] != 0 {
                continue;
            }
            let mut stack = vec![root];
            while let Some(&here) = stack.last() {
                if state[here] == 2 {
                    stack.pop();
                    continue;
                }
                if state[here] == 1 {
                    state[here] = 2;
                    self.order.push(here);
                    stack.pop();
                    continue;
                }
                state[here] = 1;
                for &member in &self.members[here] {
                    for producer in self.producers(program, member) {
                        let next = self.cluster_of[producer];
                        if state[next] == 0 {
                            stack.push(next);
                        }
                    }
                }
            }
        }
    }
}

fn users(program: &Program, defined_by: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); program.equations().len()];
    for (i, equation) in program.equations().iter().enumerate() {
        for var in equation.inputs.iter().filter_map(|atom| atom.var()) {
            if let Some(producer) = defined_by[var.index()] {
                users[producer].push(i);
            }
        }
    }
    users
}

/// The strides with which a loop over `shape` reads an operand that is broadcast to it along `dims`.
pub(super) fn broadcast_strides(from: &Aval, shape: &[usize], dims: &[usize]) -> Vec<usize> {
    let own = from.shape.strides();
    let mut strides = vec![0; shape.len()];
    for (i, &dim) in dims.iter().enumerate() {
        if from.shape[i] != 1 {
            strides[dim] = own[i];
        }
    }
    strides
}
