"""The figures of docs/schedules.md: predictions against measurements, the default against tuned schedules, and against
one schedule for all layers.

    cargo build --release
    python3 xtask/parity/schedules.py errors resnet-50 vgg-16 mobilenet-v1
    python3 xtask/parity/schedules.py tuned resnet-50 googlenet
    python3 xtask/parity/schedules.py fixed vgg-16 resnet-50 mobilenet-v1

All of it on one thread, with a store of its own that is empty at first.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

TILEWISE = "target/release/tilewise"


def tilewise(cache, *words):
    environment = {**os.environ, "TILEWISE_CACHE": cache}
    done = subprocess.run([TILEWISE, *words, "--threads", "1"], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def quantile(values, share):
    values = sorted(values)
    return values[round((len(values) - 1) * share)]


def errors(cache, networks):
    """Predicted against measured time: of networks, and of all their layers that have a choice."""
    layers, totals = [], []
    for network in networks:
        rows = tilewise(cache, "explain", "-m", f"zoo:{network}", "--json", "--duration", "0.5")
        predicted, measured = (sum(row[key] for row in rows) for key in ("predicted_ms", "measured_ms"))
        totals.append(abs(predicted / measured - 1))
        layers += [abs(row["predicted_ms"] / row["measured_ms"] - 1) for row in rows if row["choice"]]
        print(f"| {network} | {measured:.2f} | {predicted:.2f} | {100 * (predicted / measured - 1):+.0f} % |", flush=True)
    print(f"networks: median {100 * statistics.median(totals):.0f} %, p90 {100 * quantile(totals, 0.9):.0f} %")
    print(f"{len(layers)} layers: median {100 * statistics.median(layers):.0f} %, p90 {100 * quantile(layers, 0.9):.0f} %")


# Runs of `explain` by turns, of which the least time of each step counts: steps of a few microseconds differ by a tenth
# from one run to the next.
TURNS = 5


def in_place(cache, network):
    """The least milliseconds of each step by its layer, as the choosers have it and as the store has it."""
    least = [{}, {}]
    for _ in range(TURNS):
        for of, flags in zip(least, (["--schedule", "none"], [])):
            rows = tilewise(cache, "explain", "-m", f"zoo:{network}", "--json", "--duration", "0.3", *flags)
            for row in rows:
                of[row["layer"], row["op"]] = min(row["measured_ms"], of.get((row["layer"], row["op"]), float("inf")))
    return least


def gains(report, least, layers):
    """By how many percent each layer is faster in its place than by default: none for those that stayed."""
    def ms(of, names):
        return sum(time for (layer, _), time in of.items() if layer in names)

    faster = [100 * (ms(least[0], change["layers"]) / ms(least[1], change["layers"]) - 1) for change in report["changed"]]
    return faster + [0.0] * max(0, layers - len(faster))


def tuned(cache, networks, budget):
    """The default against a tuned schedule, and one for which every choice was measured, each proven in its place."""
    print("| network | tuned | in s | choices | exhaustive | choices | default behind: median layer | worst layer |")
    for network in networks:
        cells = []
        for name, flags in [("tuned", ["--budget", str(budget)]), ("exhaustive", ["--exhaustive", "--budget", "50"])]:
            folder = os.path.join(cache, network, name)
            start = time.perf_counter()
            report = tilewise(folder, "tune", "-m", f"zoo:{network}", "--json", *flags)
            seconds = time.perf_counter() - start
            tried = f"{report['choices_measured']} of {report['problems_measured']} problems"
            cells += [f"{report['before_ms'] / report['after_ms']:.3f}"] + [f"{seconds:.1f}"] * (not cells) + [tried]
        rows = tilewise(folder, "explain", "-m", f"zoo:{network}", "--json", "--duration", "0.1")
        behind = gains(report, in_place(folder, network), sum(bool(row["choice"]) for row in rows))
        cells += [f"{statistics.median(behind):.0f} %", f"{max(behind):.0f} %"]
        print(f"| {network} | {' | '.join(cells)} |", flush=True)


def fixed(cache, networks):
    """The best schedule of each layer against one for all: one kernel for 1 x 1 and one for all others, one tile, one size
    of blocks."""
    for network in networks:
        path = os.path.join(cache, f"{network}.txt")
        with open(path, "w") as file:
            file.write(one_for_all(cache, network))
        tilewise(cache, "tune", "-m", f"zoo:{network}", "--json")
        best, same = (
            {row["layer"]: row["measured_ms"] for row in rows if row["op"] == "Conv"}
            for rows in (
                tilewise(cache, "explain", "-m", f"zoo:{network}", "--json", *flags)
                for flags in ([], ["--schedule", path])
            )
        )
        ratios = [same[layer] / ms for layer, ms in best.items() if layer in same]
        cells = [sum(best.values()), sum(same.values()), sum(same.values()) / sum(best.values())]
        cells += [statistics.median(ratios), max(ratios)]
        print(f"| {network} | {' | '.join(f'{cell:.2f}' for cell in cells)} |", flush=True)


def one_for_all(cache, network):
    """A schedule that runs every convolution with taps directly and every other one as a product, all with the same tile
    and blocks; depthwise ones, and what no such kernel computes, stay as they are."""
    rows = tilewise(cache, "explain", "-m", f"zoo:{network}", "--json", "--duration", "0.05")
    lines = ["tilewise schedule 1"]
    for row in rows:
        operator, *_, tier = row["kernel"].split("_")
        if operator.startswith("conv-") and operator not in ("conv-depthwise", "conv-dwpw", "conv-first", "conv-im2col"):
            kernel = operator if operator == "conv-pointwise" else "conv-direct"
            lines.append(f"{kernel}_f32_{TILES[tier]} rows=8 oc=64 ic=64 : {row['layer']}")
    return "\n".join(lines) + "\n"


# The widest tile of each instruction set.
TILES = {"avx512": "14x32_avx512", "avx2": "6x16_avx2", "scalar": "4x8_scalar"}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=["errors", "fixed", "tuned"])
    arguments.add_argument("networks", nargs="+")
    arguments.add_argument("--budget", type=float, default=10)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        if given.what == "tuned":
            tuned(cache, given.networks, given.budget)
        elif given.what == "fixed":
            fixed(cache, given.networks)
        else:
            errors(cache, given.networks)


if __name__ == "__main__":
    main()
