//! Where Flax has what.

use jaxnet_tensor::{Result, Tensor};

use super::Wanted;

pub(super) fn find(wanted: &Wanted<'_>) -> Result<Tensor> {
    let cell = (wanted.sibling)("input_kernel");
    match wanted.name {
        name if cell => of_cell(wanted, name),
        name @ ("kernel" | "bias") => {
            let found = required(wanted, name)?;
            // Attention has an axis for heads.
            let heads = ["query", "key", "value", "out"].contains(&wanted.parent().1);
            let same_size = found.size() == wanted.shape().size();
            Ok(if heads && same_size { found.reshape(wanted.shape().dims()) } else { found })
        }
        "gamma" => required(wanted, "scale"),
        "beta" => required(wanted, "bias"),
        name @ ("embedding" | "mean" | "var") => required(wanted, name),
        "slope" => Ok(required(wanted, "negative_slope")?.reshape(wanted.shape().dims())),
        _ => wanted.unknown("Flax"),
    }
}

fn optional(wanted: &Wanted<'_>, name: &str) -> Option<Tensor> {
    let key = wanted.key(wanted.module, name)?;
    let collections = ["", "params.", "batch_stats."];
    collections.into_iter().find_map(|collection| wanted.file.take(&format!("{collection}{key}")))
}

fn required(wanted: &Wanted<'_>, name: &str) -> Result<Tensor> {
    optional(wanted, name).ok_or_else(|| wanted.missing(name))
}

/// Flax has a layer for each gate.
fn of_cell(wanted: &Wanted<'_>, name: &str) -> Result<Tensor> {
    let (has, shape) = (wanted.sibling, wanted.shape());
    let gates: &[&str] = if has("recurrent_bias") {
        &["r", "z", "n"]
    } else if optional(wanted, "ii.kernel").is_some() {
        &["i", "f", "g", "o"]
    } else {
        &[""]
    };
    let all = |of: &str, what: &str| -> Result<Tensor> {
        let parts: Result<Vec<Tensor>> =
            gates.iter().map(|gate| required(wanted, &format!("{of}{gate}.{what}"))).collect();
        let parts = parts?;
        match parts.iter().find(|part| part.rank() != shape.rank()) {
            Some(part) => wanted.misfit(&format!("{of}{}.{what}", gates[0]), part),
            None => Ok(Tensor::concatenate(&parts, -1)),
        }
    };
    match name {
        "input_kernel" => all("i", "kernel"),
        "recurrent_kernel" => all("h", "kernel"),
        "recurrent_bias" => required(wanted, "hn.bias"),
        // That of the LSTM is with the carry's products, others with those of inputs.
        "bias" => all(if gates.len() == 4 { "h" } else { "i" }, "bias"),
        _ => wanted.unknown("Flax"),
    }
}
