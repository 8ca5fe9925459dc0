//! `check`: can a model run? Every operator that is not supported, before anything runs.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tilewise::graph::GraphError;
use tilewise::onnx::ImportError;
use tilewise::{Error, Model};

use crate::args::{ModelArgs, OutputArgs, RunArgs};
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A node that cannot run.
struct Finding {
    node: String,
    op: String,
    opset: String,
    reason: String,
}

impl Check {
    pub(crate) fn run(&self) -> Result<bool> {
        let findings = match self.model.load_typed() {
            Ok(model) => self.compile(&model)?,
            Err(Error::Import(ImportError::Unsupported { nodes })) => nodes
                .into_iter()
                .map(|n| Finding {
                    node: n.node,
                    op: n.op,
                    opset: format!("{} {}", n.domain, n.opset),
                    reason: n.reason,
                })
                .collect(),
            Err(error) => return Err(error).with_context(|| format!("cannot load the model {}", self.model.name())),
        };
        let path = self.output.output.as_deref();
        if self.output.json {
            let rows: Vec<_> = findings
                .iter()
                .map(|f| json!({"node": f.node, "op": f.op, "opset": f.opset.trim(), "reason": f.reason}))
                .collect();
            output::json(path, &json!({"model": self.model.name(), "runs": findings.is_empty(), "unsupported": rows}))?;
        } else if findings.is_empty() {
            output::text(path, &format!("{} runs\n", self.model.name()))?;
        } else {
            let mut table = Table::new(&["node", "operator", "opset", "reason"].map(|head| (head, Align::Left)));
            for f in &findings {
                table.row(vec![f.node.clone(), f.op.clone(), f.opset.trim().to_owned(), f.reason.clone()]);
            }
            let head = format!("{} cannot run: {} nodes are not supported\n\n", self.model.name(), findings.len());
            output::text(path, &(head + &table.render()))?;
        }
        Ok(findings.is_empty())
    }

    /// Compiles with the shapes of the flags, so that operators are also seen with their real types.
    fn compile(&self, model: &Model) -> Result<Vec<Finding>> {
        let shapes = self.run.shapes(model)?;
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        match model.plan(&shapes, &self.run.options(&self.output)?) {
            Ok(_) => Ok(Vec::new()),
            Err(Error::Graph(GraphError::Op { node, op, source, .. })) => {
                let opset = model.source().opset.to_string();
                Ok(vec![Finding { node, op, opset, reason: source.to_string() }])
            }
            Err(error) => Err(error.into()),
        }
    }
}
