//! Steps as lowerings hand them over.

use tilewise_graph::ValueId;
use tilewise_kernels::Ctx;
use tilewise_kernels::movement::{Reorder, choose_reorder};

use super::{Layer, Lowering, kind};
use crate::plan::{BufferId, ByRows, Run, Step, StepInfo};
use crate::schedule::Decision;

/// What a lowering hands over for one step.
pub(crate) struct NewStep<'a> {
    pub(crate) layer: Layer<'a>,
    /// Layers before it that the step computes too.
    pub(crate) with: &'a [Layer<'a>],
    pub(crate) op: &'static str,
    pub(crate) kernel: &'static str,
    /// What it computes and how, where there is a choice.
    pub(crate) decision: Option<Decision>,
    pub(crate) macs: u64,
    pub(crate) reads: &'a [BufferId],
    pub(crate) writes: &'a [BufferId],
    pub(crate) run: Run,
}

impl Lowering<'_> {
    /// Tells how the last step computes some of its output rows. Padding as high as the kernel would leave parts without
    /// any row of the image: such a step takes no turns.
    pub(crate) fn by_rows(&mut self, rows: ByRows) {
        let p = &rows.problem;
        if let Some(step) = self.steps.last_mut().filter(|_| p.pads.top.max(p.pads.bottom) < p.reach()[0]) {
            step.rows = Some(rows);
        }
    }

    /// Appends a step, and lets its buffers live until then.
    pub(crate) fn push(&mut self, new: NewStep<'_>) {
        let number = self.steps.len();
        for &buffer in new.reads.iter().chain(new.writes) {
            self.touch(buffer, number);
        }
        let output = new.layer.node.outputs.first().map(|&id| self.graph.value(id).ty.to_string());
        let bytes = new.reads.iter().chain(new.writes).map(|&id| self.len(id) as u64).sum();
        let kinds = new.with.iter().chain([&new.layer]).map(|layer| kind::kind(self.graph, layer.node));
        let mut merged: Vec<String> = new.layer.node.merged.iter().map(ToString::to_string).collect();
        for layer in new.with {
            merged.push(self.name(*layer).to_owned());
            merged.extend(layer.node.merged.iter().map(ToString::to_string));
        }
        // The layers of a step are lowered with the first of them.
        let nodes = new.with.iter().map(|layer| layer.id).chain([new.layer.id]);
        self.absorbed.extend(nodes.clone());
        self.flow.nodes.extend(nodes);
        if let Some(decision) = &new.decision {
            self.chosen.set(&self.names[&new.layer.id], decision.choice);
        }
        let info = StepInfo {
            layer: self.name(new.layer).to_owned(),
            merged,
            reorder: None,
            op: new.op,
            kind: kinds.collect::<Vec<_>>().join(" + "),
            kernel: new.kernel,
            decision: new.decision,
            output: output.unwrap_or_default(),
            macs: new.macs,
            bytes,
            operands: self.operands(new.reads, new.writes),
            times: 1,
        };
        let (reads, writes) = (new.reads.into(), new.writes.into());
        self.steps.push(Step { info, reads, writes, run: new.run, rows: None });
    }

    /// Appends the step of an operator with one input and one output in f32 that `run` computes with `scratch` more
    /// values at hand.
    pub(crate) fn push_map(
        &mut self,
        layer: Layer<'_>,
        kernel: &'static str,
        [x, y]: [BufferId; 2],
        scratch: usize,
        run: impl Fn(&[f32], &mut [f32], Ctx<'_>) + Send + Sync + 'static,
    ) {
        let scratch = self.scratch(scratch);
        self.push(NewStep {
            layer,
            with: &[],
            op: layer.node.op.name(),
            kernel,
            decision: None,
            macs: 0,
            reads: &[x],
            writes: &[y, scratch],
            run: Box::new(move |memory| {
                let pool = memory.pool;
                let ([x], [y, scratch]) = memory.split([x], [y, scratch]);
                run(x, y, Ctx { pool, scratch });
                Ok(())
            }),
        });
    }

    /// Appends a step that changes a value's layout, on behalf of the layer that makes the value.
    pub(crate) fn push_reorder(&mut self, id: ValueId, reorder: Reorder, [x, y]: [BufferId; 2], run: Run) {
        let kernel = choose_reorder(self.cpu.tier).id.name;
        let value = self.graph.value(id);
        let number = self.steps.len();
        self.touch(x, number);
        self.touch(y, number);
        let info = StepInfo {
            layer: value.name.to_string(),
            merged: Vec::new(),
            reorder: Some(reorder),
            op: "Reorder",
            kind: "Reorder".to_owned(),
            kernel,
            decision: None,
            output: value.ty.to_string(),
            macs: 0,
            bytes: (self.len(x) + self.len(y)) as u64,
            operands: self.operands(&[x], &[y]),
            times: 1,
        };
        self.steps.push(Step { info, reads: [x].into(), writes: [y].into(), run, rows: None });
    }
}
