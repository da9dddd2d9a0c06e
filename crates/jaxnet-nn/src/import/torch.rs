//! Where PyTorch has what.

use jaxnet_tensor::{Result, Tensor};

use super::Wanted;

pub(super) fn find(wanted: &Wanted<'_>) -> Result<Tensor> {
    let cell = (wanted.sibling)("input_kernel");
    match wanted.name {
        "input_kernel" => Ok(wanted.required("weight_ih")?.mt()),
        "recurrent_kernel" => Ok(wanted.required("weight_hh")?.mt()),
        "bias" | "recurrent_bias" if cell => cell_bias(wanted),
        "kernel" => kernel(wanted),
        "bias" => bias(wanted),
        "scale" if (wanted.sibling)("kernel") => {
            let names = ["weight_g", "parametrizations.weight.original0"];
            match names.into_iter().find_map(|name| wanted.optional(name)) {
                Some(lengths) => Ok(lengths.reshape([lengths.size()])),
                None => Err(wanted.missing(names[0])),
            }
        }
        "gamma" | "embedding" | "slope" => wanted.required("weight"),
        "beta" => wanted.required("bias"),
        "mean" => wanted.required("running_mean"),
        "var" => wanted.required("running_var"),
        _ => wanted.unknown("PyTorch"),
    }
}

fn kernel(wanted: &Wanted<'_>) -> Result<Tensor> {
    let direct = ["weight", "weight_v", "parametrizations.weight.original1"];
    let weight = match direct.into_iter().find_map(|name| wanted.optional(name)) {
        Some(weight) => weight,
        None => of_attention(wanted, "weight")?.ok_or_else(|| wanted.missing("weight"))?,
    };
    let rank = wanted.shape().rank();
    if weight.rank() != rank || rank < 2 {
        return wanted.misfit("weight", &weight);
    }
    if rank == 2 {
        return Ok(weight.mt());
    }
    if wanted.is_transposed() {
        return transposed(wanted, &weight);
    }
    // From (output, input, spatial..) to (spatial.., input, output).
    Ok(weight.move_axis(0, -1).move_axis(0, -2))
}

/// From (input, output of a group, spatial..) to (spatial.., input of a group, output).
fn transposed(wanted: &Wanted<'_>, weight: &Tensor) -> Result<Tensor> {
    let (inputs, rank) = (weight.dim(0), weight.rank() as isize);
    let of_group = wanted.shape()[wanted.shape().rank() - 2];
    if of_group == 0 || !inputs.is_multiple_of(of_group) {
        return wanted.misfit("weight", weight);
    }
    let mut split = weight.shape().to_vec();
    split.splice(..1, [inputs / of_group, of_group]);
    // (group, input, output, spatial..) to (spatial.., input, group, output).
    let apart = weight.reshape(split).move_axis(1, -1).move_axis(0, -1).move_axis(0, -1);
    let mut joined = apart.shape().to_vec();
    let outputs = joined.pop().unwrap_or(1) * joined.pop().unwrap_or(1);
    joined.push(outputs);
    Ok(apart.reshape(joined).flip((0..rank - 2).collect::<Vec<_>>()))
}

fn bias(wanted: &Wanted<'_>) -> Result<Tensor> {
    match wanted.optional("bias") {
        Some(bias) => Ok(bias),
        None => of_attention(wanted, "bias")?.ok_or_else(|| wanted.missing("bias")),
    }
}

/// A parameter of one of the four layers of attention, whose first three are one there.
fn of_attention(wanted: &Wanted<'_>, name: &str) -> Result<Option<Tensor>> {
    let (attention, part) = wanted.parent();
    let take = |key: &str| wanted.file.take(&wanted.key(attention, key)?);
    let Some(third) = ["query", "key", "value"].into_iter().position(|layer| layer == part) else {
        return Ok(if part == "out" { take(&format!("out_proj.{name}")) } else { None });
    };
    // Where keys or values have other sizes, their weights are apart, but not the biases.
    if name == "weight"
        && let Some(weight) = take(&format!("{}_proj_weight", &part[..1]))
    {
        return Ok(Some(weight));
    }
    let Some(all) = take(&format!("in_proj_{name}")) else { return Ok(None) };
    if all.rank() == 0 || !all.dim(0).is_multiple_of(3) {
        return wanted.misfit(&format!("in_proj_{name}"), &all);
    }
    Ok(Some(all.split(3, 0).swap_remove(third)))
}

/// PyTorch has one bias for the products with inputs, and one for those with the carry.
fn cell_bias(wanted: &Wanted<'_>) -> Result<Tensor> {
    let after_reset = (wanted.sibling)("recurrent_bias");
    let gates = |bias: Tensor| bias.reshape([bias.size()]);
    let (of_inputs, of_carry) = match (wanted.optional("bias_ih"), wanted.optional("bias_hh")) {
        (Some(of_inputs), Some(of_carry)) => (gates(of_inputs), gates(of_carry)),
        // Layers may be without.
        _ => return Ok(Tensor::zeros(wanted.shape())),
    };
    if of_inputs.size() != of_carry.size() || (after_reset && !of_carry.size().is_multiple_of(3)) {
        return wanted.misfit("bias_hh", &of_carry);
    }
    if !after_reset {
        return Ok(of_inputs + of_carry);
    }
    // The reset gate comes between the last gate's bias and the other.
    let of_carry = of_carry.split(3, 0);
    if wanted.name == "recurrent_bias" {
        return Ok(of_carry[2].clone());
    }
    let added = [of_carry[0].clone(), of_carry[1].clone(), of_carry[2].zeros_like()];
    Ok(of_inputs + Tensor::concatenate(&added, 0))
}
