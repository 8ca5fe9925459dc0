#!/usr/bin/env python3
"""Holds the steps that `tilewise predict` counts for a systolic array against SCALE-Sim, layer by layer.

    pip install scalesim setuptools
    cargo xtask systolic
    python xtask/parity/systolic.py --tilewise target/release/tilewise [--side 32] [NETWORK...]

The array is weight stationary and square, its memories large and fast enough never to stall. Each distinct product of
the networks, by default of the whole zoo, is simulated once; of the products of groups, which SCALE-Sim does not have,
one. Those of more than --largest multiply-adds are counted but not simulated, which would take gigabytes. Exits with 1
where one differs by more than a tenth.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

MACHINE = {
    "name": "array",
    "about": "a square array",
    "source": "xtask/parity/systolic.py",
    "precision": "int8",
    "peaks_gops": {"int8": 1000},
    "pj_per_mac": {"int8": 1},
    "levels": [{"name": "DRAM", "bytes": 1e12, "gb_per_s": 1000, "pj_per_byte": 1}],
    "weights_stay": True,
    "dispatch_us": 0,
}

CONFIG = """[general]
run_name = parity

[architecture_presets]
ArrayHeight: {side}
ArrayWidth: {side}
IfmapSramSzkB: 65536
FilterSramSzkB: 65536
OfmapSramSzkB: 65536
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Dataflow: ws
Bandwidth: 1000000
ReadRequestBuffer: 64
WriteRequestBuffer: 64

[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2

[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40

[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


def counted(tilewise, networks, side, folder):
    """Distinct products, and the steps that tilewise counts for one of each."""
    compute = {"rows": side, "columns": side, "dataflow": "weight-stationary", "clock_ghz": 1}
    machine = folder / "array.json"
    machine.write_text(json.dumps(MACHINE | {"compute": {"systolic": compute}}))
    found = {}
    for network in networks:
        command = [tilewise, "predict", "--json", "--machine", machine, "-m", f"zoo:{network}"]
        report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for layer in report["layers"]:
            p = layer["products"]
            if p:
                found[p["m"], p["n"], p["k"]] = layer["steps"] / p["count"]
    return found


def zoo(tilewise):
    """The names of all networks."""
    table = subprocess.run([tilewise, "zoo", "table", "--json"], check=True, capture_output=True).stdout
    return [row["name"] for row in json.loads(table)]


def simulated(products, side, folder):
    """The compute cycles of SCALE-Sim for each product."""
    from scalesim.compute.operand_matrix import operand_matrix
    from scalesim.compute.systolic_compute_ws import systolic_compute_ws
    from scalesim.layout_utils import layouts
    from scalesim.scale_config import scale_config
    from scalesim.topology_utils import topologies

    (folder / "scale.cfg").write_text(CONFIG.format(side=side))
    with open(folder / "products.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Layer", "M", "N", "K", ""])
        rows.writerows([f"p{i}", m, n, k, ""] for i, (m, n, k) in enumerate(products))
    config, topology = scale_config(), topologies()
    config.read_conf_file(str(folder / "scale.cfg"))
    topology.load_arrays(str(folder / "products.csv"), mnk_inputs=True)
    for number in range(len(products)):
        operands = operand_matrix()
        operands.set_params(config_obj=config, topoutil_obj=topology, layoututil_obj=layouts(), layer_id=number)
        _, ifmap = operands.get_ifmap_matrix()
        _, filters = operands.get_filter_matrix()
        _, ofmap = operands.get_ofmap_matrix()
        array = systolic_compute_ws()
        array.set_params(config_obj=config, ifmap_op_mat=ifmap, filter_op_mat=filters, ofmap_op_mat=ofmap)
        # One row of the demand for each cycle.
        yield array.get_demand_matrices()[0].shape[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tilewise", default="target/release/tilewise")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--largest", type=float, default=1e9, help="most multiply-adds of a simulated product")
    parser.add_argument("networks", nargs="*", help="networks of the zoo; all where none is named")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        everything = counted(args.tilewise, args.networks or zoo(args.tilewise), args.side, folder)
        found = {p: steps for p, steps in everything.items() if p[0] * p[1] * p[2] <= args.largest}
        worst = 0.0
        for (product, steps), cycles in zip(found.items(), simulated(list(found), args.side, folder)):
            error = steps / cycles - 1
            worst = max(worst, abs(error))
            print(f"m{product[0]} n{product[1]} k{product[2]}: {steps:.0f} counted, {cycles} simulated, {100 * error:+.2f} %")
    print(f"{len(found)} of {len(everything)} products simulated, largest difference {100 * worst:.2f} %")
    sys.exit(worst > 0.1)


if __name__ == "__main__":
    main()
