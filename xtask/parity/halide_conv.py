"""The seven loops of a convolution: Halide's autoschedulers and tilewise by turns.

    cargo build --release
    pip install halide numpy onnx
    python3 xtask/parity/halide_conv.py --threads 1 64,56,3 128,28,3 256,14,3 512,7,3 256,14,1

A layer is input channels = output channels, height = width, kernel size; stride 1, padded, f32, one image. For each, a
row: the seconds that each scheduler takes to schedule and compile and that tilewise takes to tune, and the least
milliseconds of the convolution in all turns.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

SCHEDULERS = ["mullapudi2016", "adams2019"]
TILEWISE = "target/release/tilewise"
TURNS = 3


def halide(scheduler, threads, channels, size, kernel):
    """The lecture's nest: x, y, output channel, image; input channel, kernel column, kernel row. Seconds to schedule and
    compile, and a function that runs it once."""
    import halide as hl

    [plugin] = pathlib.Path(hl.__file__).parent.rglob(f"libautoschedule_{scheduler}.so")
    hl.load_plugin(str(plugin))
    x, y, co, n = hl.Var("x"), hl.Var("y"), hl.Var("co"), hl.Var("n")
    image, weights = hl.ImageParam(hl.Float(32), 4, "image"), hl.ImageParam(hl.Float(32), 4, "weights")
    taps = hl.RDom([(0, channels), (0, kernel), (0, kernel)])
    out = hl.Func("out")
    out[co, x, y, n] = 0.0
    out[co, x, y, n] += weights[co, taps.x, taps.y, taps.z] * image[taps.x, x + taps.y, y + taps.z, n]
    padded = size + kernel - 1
    image.set_estimates([(0, channels), (0, padded), (0, padded), (0, 1)])
    weights.set_estimates([(0, channels), (0, channels), (0, kernel), (0, kernel)])
    out.set_estimates([(0, channels), (0, size), (0, size), (0, 1)])
    pipeline, target = hl.Pipeline(out), hl.get_host_target()
    start = time.perf_counter()
    pipeline.apply_autoscheduler(target, hl.AutoschedulerParams(scheduler.capitalize(), {"parallelism": str(threads)}))
    # The arrays must outlive the buffers that stand on them.
    arrays = [np.ones((1, padded, padded, channels), np.float32), np.ones((kernel, kernel, channels, channels), np.float32)]
    image.set(hl.Buffer(arrays[0]))
    weights.set(hl.Buffer(arrays[1]))
    result = hl.Buffer(hl.Float(32), [channels, size, size, 1])
    pipeline.compile_jit(target)
    seconds = time.perf_counter() - start

    def run(kept=(arrays, image, weights)):
        start = time.perf_counter()
        pipeline.realize(result)
        return 1e3 * (time.perf_counter() - start)

    return seconds, run


def model(path, channels, size, kernel):
    """A network of this one layer."""
    from onnx import TensorProto, helper, numpy_helper, save

    shape = [1, channels, size, size]
    weights = numpy_helper.from_array(np.ones((channels, channels, kernel, kernel), np.float32), "w")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[kernel // 2] * 4)
    graph = helper.make_graph([node], "conv", value[:1], value[1:], [weights])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)


def tilewise(cache, threads, *words):
    environment = {**os.environ, "TILEWISE_CACHE": cache}
    command = [TILEWISE, *words, "--json", "--threads", str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def compare(threads, channels, size, kernel):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "conv.onnx")
        model(path, channels, size, kernel)
        start = time.perf_counter()
        tilewise(folder, threads, "tune", "-m", path, "--budget", "2")
        tuned = time.perf_counter() - start
        pipelines = [halide(scheduler, threads, channels, size, kernel) for scheduler in SCHEDULERS]
        times = [[] for _ in pipelines] + [[]]
        for _ in range(TURNS):
            for (_, run), best in zip(pipelines, times):
                best += [run() for _ in range(5)]
            steps = tilewise(folder, threads, "explain", "-m", path, "--duration", "0.3")
            times[-1].append(sum(step["measured_ms"] for step in steps if step["op"] == "Conv"))
    *others, ours = map(min, times)
    cells = [f"{seconds:.1f} s, {best:.3f} ms" for (seconds, _), best in zip(pipelines, others)]
    cells += [f"{tuned:.1f} s, {ours:.3f} ms", f"{min(others) / ours:.1f} x"]
    print(f"| {kernel} x {kernel}, {channels} channels, {size} x {size} | {threads} | " + " | ".join(cells) + " |", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("layers", nargs="+")
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    # Halide's pool reads it when it starts.
    os.environ["HL_NUM_THREADS"] = str(given.threads)
    for layer in given.layers:
        compare(given.threads, *map(int, layer.split(",")))


if __name__ == "__main__":
    main()
