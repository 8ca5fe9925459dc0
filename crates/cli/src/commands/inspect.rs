//! `inspect`: what is in a model.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tilewise::LayerCount;
use tilewise::graph::ValueType;

use crate::args::{ModelArgs, OutputArgs, RunArgs};
use crate::output::{self, Align, Table, short};

#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<bool> {
        let model = self.model.load(&self.output)?;
        let shapes = self.run.shapes(&model)?;
        let named: Vec<(&str, &[usize])> =
            model.inputs().map(|(name, _)| name).zip(shapes.iter().map(Vec::as_slice)).collect();
        let found = tilewise::inspect(model.source(), &named)?;
        let path = self.output.output.as_deref();
        if self.output.json {
            let value = |(name, ty): (&str, &ValueType)| json!({"name": name, "type": ty.to_string()});
            let layers = found.layers.iter().map(|l| {
                json!({"name": l.name, "op": l.op, "kind": l.kind, "filter": l.filter, "size": l.size, "input": l.input,
                       "weights": l.weights, "output": l.output, "params": l.params, "macs": l.macs})
            });
            let report = json!({
                "model": self.model.name(), "opset": model.source().opset,
                "inputs": model.inputs().map(value).collect::<Vec<_>>(),
                "outputs": model.outputs().map(value).collect::<Vec<_>>(),
                "ops": found.ops, "params": found.params, "macs": found.macs, "flops": 2 * found.macs,
                "weight_bytes": found.weight_bytes, "activation_elements": found.activation_elements,
                "peak_live_bytes": found.peak_live_bytes, "layers": layers.collect::<Vec<_>>(),
            });
            output::json(path, &report)?;
            return Ok(true);
        }
        let mut text = format!("{} (opset {})\n", self.model.name(), model.source().opset);
        let values = model.inputs().map(|v| ("input", v)).chain(model.outputs().map(|v| ("output", v)));
        for (kind, (name, ty)) in values {
            text.push_str(&format!("{kind:<12}{name}: {ty}\n"));
        }
        let ops = found.ops.iter().map(|(op, count)| format!("{op} {count}")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("operators   {ops}\n"));
        text.push_str(&format!(
            "parameters  {}, {} bytes\n",
            short(found.params as f64),
            short(found.weight_bytes as f64)
        ));
        let flops = short(2.0 * found.macs as f64);
        text.push_str(&format!("cost        {} multiply-adds, {flops} FLOPs\n", short(found.macs as f64)));
        let live = short(found.peak_live_bytes as f64);
        text.push_str(&format!(
            "activations {} elements, {live} bytes alive at most\n\n",
            short(found.activation_elements as f64)
        ));
        text.push_str(&layers(&found.layers, self.output.verbose));
        output::text(path, &text)?;
        Ok(true)
    }
}

/// The layers as a paper's table has them: those with filters, and in one line what stands between them; or all.
fn layers(layers: &[LayerCount], all: bool) -> String {
    let heads = [
        ("layer", Align::Left),
        ("type / stride", Align::Left),
        ("filter shape", Align::Left),
        ("input size", Align::Left),
        ("multiply-adds", Align::Right),
        ("params", Align::Right),
    ];
    let (mut table, mut between, mut params) = (Table::new(&heads), BTreeMap::<&str, usize>::new(), 0);
    for l in layers {
        if all || !l.filter.is_empty() {
            let [macs, params] = [l.macs, l.params].map(|n| n.to_string());
            table.row(vec![l.name.clone(), l.kind.clone(), l.filter.clone(), l.size.clone(), macs, params]);
        } else {
            *between.entry(l.op).or_default() += 1;
            params += l.params;
        }
    }
    let mut text = table.render();
    if !between.is_empty() {
        let ops = between.iter().map(|(op, count)| format!("{op} {count}")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("between them, with {params} params: {ops}; -v shows all\n"));
    }
    text
}
