//! `passes`: what happens to a graph, in order.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tilewise::graph::passes;

use crate::args::OutputArgs;
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Passes {
    #[command(flatten)]
    output: OutputArgs,
}

impl Passes {
    pub(crate) fn run(&self) -> Result<bool> {
        let path = self.output.output.as_deref();
        if self.output.json {
            let rows = passes::ALL.iter().map(|pass| json!({"name": pass.name, "purpose": pass.purpose}));
            output::json(path, &rows.collect::<Vec<_>>())?;
            return Ok(true);
        }
        let mut table = Table::new(&[("", Align::Right), ("pass", Align::Left), ("what it does", Align::Left)]);
        for (number, pass) in passes::ALL.iter().enumerate() {
            table.row(vec![(number + 1).to_string(), pass.name.into(), pass.purpose.into()]);
        }
        output::text(path, &table.render())?;
        Ok(true)
    }
}
