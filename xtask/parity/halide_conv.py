"""The seven loops of a convolution, scheduled by Halide's autoschedulers.

    pip install halide numpy
    python3 xtask/parity/halide_conv.py 64 56 3

Input channels = output channels, height = width, kernel size; stride 1, padded, f32, one image, one thread. Prints the
seconds that each scheduler takes, and the least milliseconds of the convolution of ten runs. Beside them: `tilewise
explain --layer` of a network that has the layer.
"""

import pathlib
import sys
import time

import halide as hl
import numpy as np


def convolution(channels, size, kernel):
    """The lecture's nest: x, y, output channel, image; input channel, kernel column, kernel row."""
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
    return out, image, weights


def main():
    channels, size, kernel = map(int, sys.argv[1:4])
    target = hl.get_host_target()
    for scheduler in ["mullapudi2016", "adams2019"]:
        out, image, weights = convolution(channels, size, kernel)
        [plugin] = pathlib.Path(hl.__file__).parent.rglob(f"libautoschedule_{scheduler}.so")
        hl.load_plugin(str(plugin))
        pipeline = hl.Pipeline(out)
        start = time.perf_counter()
        pipeline.apply_autoscheduler(target, hl.AutoschedulerParams(scheduler.capitalize(), {"parallelism": "1"}))
        padded = size + kernel - 1
        # The arrays must outlive the buffers that stand on them.
        arrays = [np.ones((1, padded, padded, channels), np.float32), np.ones((kernel, kernel, channels, channels), np.float32)]
        image.set(hl.Buffer(arrays[0]))
        weights.set(hl.Buffer(arrays[1]))
        result = hl.Buffer(hl.Float(32), [channels, size, size, 1])
        pipeline.compile_jit(target)
        scheduled = time.perf_counter() - start
        times = []
        for _ in range(10):
            start = time.perf_counter()
            pipeline.realize(result)
            times.append(time.perf_counter() - start)
        print(f"{scheduler}: scheduled and compiled in {scheduled:.1f} s, {1e3 * min(times):.3f} ms")


if __name__ == "__main__":
    main()
