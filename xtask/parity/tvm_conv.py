"""A convolution tuned by TVM's MetaSchedule: what `halide_conv.py` measures of Halide and of tilewise.

    pip install apache-tvm==0.25.0 apache-tvm-ffi==0.1.12 xgboost-cpu psutil cloudpickle tornado numpy
    python3 xtask/parity/tvm_conv.py --threads 1 --trials 64 64,56,3 256,14,3

A layer is input channels = output channels, height = width, kernel size; stride 1, padded, f32, one image, channels last.
For each, a row: the seconds that tuning takes, and the least milliseconds of twenty runs.
"""

import argparse
import os
import tempfile
import time

import numpy as np


def convolution(channels, size, kernel):
    from tvm import te, topi

    image = te.placeholder((1, size, size, channels), name="image")
    weights = te.placeholder((kernel, kernel, channels, channels), name="weights")
    out = topi.nn.conv2d_nhwc(image, weights, stride=1, padding=kernel // 2, dilation=1, out_dtype="float32")
    return te.create_prim_func([image, weights, out])


def tuned(threads, trials, cpu, channels, size, kernel):
    import tvm
    from tvm.s_tir import meta_schedule

    target = tvm.target.Target({"kind": "llvm", "mcpu": cpu, "num-cores": threads})
    function = convolution(channels, size, kernel)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        database = meta_schedule.tune_tir(function, target, folder, trials, num_trials_per_iter=min(64, trials), seed=1)
        schedule = meta_schedule.tir_integration.compile_tir(database, function, target)
        seconds = time.perf_counter() - start
    library = tvm.compile(schedule.mod, target=target)
    shapes = [(1, size, size, channels), (kernel, kernel, channels, channels), (1, size, size, channels)]
    arrays = [tvm.runtime.tensor(np.ones(shape, np.float32)) for shape in shapes]
    timer = library.jit().time_evaluator("main", tvm.cpu(), number=1, repeat=20)
    return seconds, 1e3 * min(timer(*arrays).results)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("layers", nargs="+")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--trials", type=int, default=64)
    arguments.add_argument("--cpu", default="sapphirerapids", help="as LLVM names it")
    given = arguments.parse_args()
    # TVM's pool reads it when it starts.
    os.environ["TVM_NUM_THREADS"] = str(given.threads)
    for layer in given.layers:
        channels, size, kernel = map(int, layer.split(","))
        seconds, best = tuned(given.threads, given.trials, given.cpu, channels, size, kernel)
        print(f"| {kernel} x {kernel}, {channels} channels, {size} x {size} | {given.threads} | {seconds:.0f} s, {best:.3f} ms |", flush=True)


if __name__ == "__main__":
    main()
