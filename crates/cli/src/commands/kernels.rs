//! `kernels`: what the catalog holds.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tilewise::kernels::catalog::catalog;

use crate::args::OutputArgs;
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Kernels {
    #[command(flatten)]
    output: OutputArgs,
}

impl Kernels {
    pub(crate) fn run(&self) -> Result<bool> {
        let path = self.output.output.as_deref();
        if self.output.json {
            let rows = catalog().map(|id| {
                json!({"name": id.name, "op": id.op, "dtype": id.dtype.name(), "tile": id.tile,
                       "isa": id.tier.name(), "available": id.tier.available()})
            });
            output::json(path, &rows.collect::<Vec<_>>())?;
            return Ok(true);
        }
        let columns = [
            ("kernel", Align::Left),
            ("problem", Align::Left),
            ("tile", Align::Right),
            ("isa", Align::Left),
            ("here", Align::Left),
        ];
        let mut table = Table::new(&columns);
        for id in catalog() {
            let here = if id.tier.available() { "yes" } else { "no" };
            let tile = format!("{}x{}", id.tile[0], id.tile[1]);
            table.row(vec![id.name.into(), id.op.into(), tile, id.tier.to_string(), here.into()]);
        }
        output::text(path, &table.render())?;
        Ok(true)
    }
}
