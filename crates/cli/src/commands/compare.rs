//! `compare`: the optimized network against the reference interpreter, layer by layer.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tilewise::Compared;

use crate::args::{ModelArgs, OutputArgs, RunArgs};
use crate::commands::infer::{Fill, filled};
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Compare {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Allowed difference, as a share of the largest magnitude of the tensor
    #[arg(long, default_value_t = 1e-4)]
    atol: f64,
    /// Allowed difference, as a share of the element's magnitude
    #[arg(long, default_value_t = 1e-4)]
    rtol: f64,
    #[command(flatten)]
    output: OutputArgs,
}

impl Compare {
    pub(crate) fn run(&self) -> Result<bool> {
        let model = self.model.load(&self.output)?;
        let inputs = filled(&model, &self.run.shapes(&model)?, Fill::Random, self.model.seed)?;
        let result = tilewise::compare(&model, &inputs, &self.run.options(&self.output)?, self.atol, self.rtol)?;
        let holds = result.holds();
        let path = self.output.output.as_deref();
        if self.output.json {
            let row = |c: &Compared| {
                json!({"node": c.name, "op": c.op, "max_abs": c.difference.max_abs, "max_rel": c.difference.max_rel,
                       "outside": c.difference.outside})
            };
            let rows = |all: &[Compared]| all.iter().map(row).collect::<Vec<_>>();
            let report = json!({"model": self.model.name(), "holds": holds, "layers": rows(&result.layers),
                                "outputs": rows(&result.outputs)});
            output::json(path, &report)?;
            return Ok(holds);
        }
        let heads = [
            ("layer", Align::Left),
            ("op", Align::Left),
            ("max abs", Align::Right),
            ("of range", Align::Right),
            ("outside", Align::Right),
        ];
        let mut table = Table::new(&heads);
        for compared in result.layers.iter().chain(&result.outputs) {
            let d = compared.difference;
            let op = if compared.op.is_empty() { "(output)" } else { compared.op };
            let figures = [format!("{:.2e}", d.max_abs), format!("{:.2e}", d.max_rel), d.outside.to_string()];
            table.row([compared.name.clone(), op.to_owned()].into_iter().chain(figures).collect());
        }
        let verdict =
            if holds { "every layer is within the tolerances" } else { "some layers are outside of the tolerances" };
        output::text(path, &format!("{}\n{verdict}\n", table.render()))?;
        Ok(holds)
    }
}
