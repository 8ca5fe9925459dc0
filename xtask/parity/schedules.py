"""The figures of docs/schedules.md: predictions against measurements, and the default against tuned schedules.

    cargo build --release
    python3 xtask/parity/schedules.py errors resnet-50 vgg-16 mobilenet-v1
    python3 xtask/parity/schedules.py tuned resnet-50 googlenet --budget 20

All of it on one thread, with a store of its own that is empty at first.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile

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


def tuned(cache, networks, budget):
    """The default, a tuned schedule, and one for which every choice was measured, each proven against the default."""
    for network in networks:
        cells = []
        for name, flags in [("tuned", []), ("exhaustive", ["--exhaustive"])]:
            folder = os.path.join(cache, network, name)
            report = tilewise(folder, "tune", "-m", f"zoo:{network}", "--json", "--budget", str(budget), *flags)
            cells += [report["before_ms"] / report["after_ms"], report["choices_measured"], report["problems_measured"]]
        gain, tried, problems, best, all_tried, all_problems = cells
        print(f"| {network} | {gain:.3f} | {tried} of {problems} layers | {best:.3f} | {all_tried} of {all_problems} layers |", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=["errors", "tuned"])
    arguments.add_argument("networks", nargs="+")
    arguments.add_argument("--budget", type=float, default=20)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        if given.what == "tuned":
            tuned(cache, given.networks, given.budget)
        else:
            errors(cache, given.networks)


if __name__ == "__main__":
    main()
