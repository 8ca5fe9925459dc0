#!/usr/bin/env python3
"""Exports every network of the zoo and runs it in onnxruntime and, where pnnx can convert it, in ncnn.

    pip install numpy onnxruntime ncnn pnnx
    python xtask/parity/zoo.py --tilewise target/release/tilewise [--only PART] [--ncnn]

Each network runs on one random image, and on two where it has fewer than 2 G multiply-adds, so that the free batch axis
is seen to be free. The largest difference between tilewise and the other engine is printed, over the largest magnitude
of the other's output. Exit status 1 when it is above 1e-4 for onnxruntime, or when onnxruntime cannot load an export;
what pnnx or ncnn cannot do is printed, with the reason.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort

LIMIT = 1e-4


def call(*command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def apart(got, want):
    return float(np.abs(got.astype(np.float64) - want).max() / max(np.abs(want).max(), 1e-30))


def tilewise(binary, model, x, folder):
    np.save(f"{folder}/x.npy", x)
    call(binary, "infer", "-m", model, "--input", f"input={folder}/x.npy", "-o", f"{folder}/y.npz")
    with np.load(f"{folder}/y.npz") as arrays:
        return arrays["output"]


def run_ncnn(path, x, folder):
    import ncnn

    dims = ",".join(str(d) for d in x.shape)
    parts = [f"{key}={folder}/p.{key}" for key in ("pnnxparam", "pnnxbin", "pnnxpy", "pnnxonnx", "ncnnpy")]
    tool = os.path.join(os.path.dirname(sys.executable), "pnnx")
    call(tool, path, f"inputshape=[{dims}]", "fp16=0", *parts, f"ncnnparam={folder}/n.param", f"ncnnbin={folder}/n.bin", cwd=folder)
    net = ncnn.Net()
    net.opt.use_fp16_storage = net.opt.use_fp16_packed = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    if net.load_param(f"{folder}/n.param") or net.load_model(f"{folder}/n.bin"):
        raise RuntimeError("ncnn cannot load it")
    extractor = net.create_extractor()
    extractor.input(net.input_names()[0], ncnn.Mat(x[0]))
    status, y = extractor.extract(net.output_names()[0])
    if status:
        raise RuntimeError(f"ncnn cannot run it: {status}")
    return np.array(y)[None]


def check(a, row):
    name, bad = row["name"], False
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/{name}.onnx"
        call(a.tilewise, "zoo", "export", name, "-o", path, "-q")
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        shape = session.get_inputs()[0].shape[1:]
        rng, line = np.random.default_rng(3), []
        for batch in (1, 2) if row["macs"] < 2e9 else (1,):
            x = rng.standard_normal([batch, *shape]).astype(np.float32)
            want = session.run(None, {"input": x})[0]
            for model in (path, f"zoo:{name}"):
                gap = apart(tilewise(a.tilewise, model, x, folder), want)
                bad |= not gap <= LIMIT
                line.append(f"{gap:.1e}")
        if a.ncnn:
            try:
                x = rng.standard_normal([1, *shape]).astype(np.float32)
                want = tilewise(a.tilewise, path, x, folder)
                line.append(f"ncnn {apart(run_ncnn(path, x, folder).reshape(want.shape), want):.1e}")
            except (RuntimeError, ValueError) as error:
                line.append(f"ncnn: {' '.join(str(error).split())[-120:]}")
    print(f"{name:22} {'  '.join(line)}{'  OUT' if bad else ''}", flush=True)
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tilewise", default="target/release/tilewise")
    p.add_argument("--only", default="", help="part of a network's name")
    p.add_argument("--ncnn", action="store_true")
    a = p.parse_args()
    rows = json.loads(call(a.tilewise, "zoo", "table", "--json"))
    bad = [row["name"] for row in rows if a.only in row["name"] and check(a, row)]
    if bad:
        sys.exit(f"outside of {LIMIT:g}: {', '.join(bad)}")


if __name__ == "__main__":
    main()
