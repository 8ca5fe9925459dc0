//! The command line as its users meet it: exit codes, what is printed, and what goes wrong in one line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cost;
mod infer;
mod profile;
mod run;
mod support;

use serde_json::Value;
use tilewise::embedded::CLASSIFIER;
use tilewise::{graph::passes, kernels::catalog::catalog};

use support::{Done, Place, onnx, tilewise};

/// Parameters of EfficientNet-Lite0 once batch norm is folded into the convolutions: one number a channel less than the
/// 4 652 008 of the network as it is trained.
const PARAMS: u64 = 4_631_000;
/// Its multiply-adds for one photo.
const MACS: u64 = 385_187_552;

#[track_caller]
fn assert_keys(object: &Value, wanted: &[&str]) {
    let missing: Vec<_> = wanted.iter().filter(|key| object.get(key).is_none_or(Value::is_null)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in {object}");
}

#[test]
fn wrong_usage_is_told_apart_from_failed_work() {
    for line in
        ["", "dance", "run --colour", "run --threads 0", "run --isa mmx", "bench --batch 0", "infer --shape 1x3"]
    {
        let Done { code, out, err } = tilewise(line);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{line}");
        assert!(err.contains("tilewise") || err.contains("--help"), "{line}: {err}");
    }
    assert!(tilewise("--version").fine().starts_with("tilewise "));
}

#[test]
fn files_that_are_no_models_are_refused_in_one_line() {
    let place = Place::new();
    place.write("garbage.onnx", b"this is not a model");
    place.write("empty.onnx", b"");
    place.write("truncated.onnx", &CLASSIFIER[..CLASSIFIER.len() / 2]);
    place.write("folder/file", b"");
    for verb in ["run", "infer --fill ones", "bench", "inspect", "check", "compare", "explain", "profile", "tune"] {
        for model in ["garbage.onnx", "empty.onnx", "truncated.onnx", "missing.onnx", "folder"] {
            let error = place.run(&format!("{verb} -m {model}")).error();
            assert!(error.contains(model), "{verb}: {error}");
        }
    }
}

#[test]
fn check_lists_what_is_not_supported() {
    assert!(tilewise("check").fine().contains("runs"));
    let place = Place::new();
    place.write("odd.onnx", &onnx::one_node("Frobnicate"));
    let Done { code, out, err } = place.run("check -m odd.onnx");
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let row = out.lines().last().unwrap();
    assert!(["node ", "Frobnicate", "17", "not built"].iter().all(|part| row.contains(part)), "{out}");

    let done = place.run("check -m odd.onnx --json");
    let report: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.code, &report["runs"]), (Some(1), &Value::Bool(false)));
    let [found] = &report["unsupported"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((&found["node"], &found["op"], &found["opset"]), (&"node".into(), &"Frobnicate".into(), &"17".into()));
    assert!(found["reason"].as_str().unwrap().contains("not built"), "{found}");

    let error = place.run("bench -m odd.onnx").error();
    assert!(["'node'", "Frobnicate", "opset 17"].iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn bench_reports_every_figure() {
    let report = tilewise("bench --duration 0.1 --warmup 0 --threads 1 --json").json();
    let keys = "model threads batch precision isa load_ms first_ms min_ms median_ms p90_ms p99_ms max_ms runs \
                images_per_s peak_rss_mb macs flops gflops fma_peak_gflops peak_fraction";
    assert_keys(&report, &keys.split_whitespace().collect::<Vec<_>>());
    assert_eq!((&report["threads"], &report["batch"], &report["macs"]), (&1.into(), &1.into(), &MACS.into()));
    assert_eq!(report["flops"], 2 * MACS);
    let times = ["min_ms", "median_ms", "p90_ms", "p99_ms", "max_ms"].map(|key| report[key].as_f64().unwrap());
    assert!(times[0] > 0.0 && times.is_sorted(), "{report}");
    let text = tilewise("bench --duration 0 --warmup 0 --batch 2").fine();
    assert!(text.contains("batch 2") && text.contains("images/s"), "{text}");
}

#[test]
fn inspect_counts_a_model() {
    let report = tilewise("inspect --json").json();
    let keys = "inputs outputs ops opset params macs flops weight_bytes activation_elements peak_live_bytes layers";
    assert_keys(&report, &keys.split_whitespace().collect::<Vec<_>>());
    assert_eq!((&report["params"], &report["macs"]), (&PARAMS.into(), &MACS.into()));
    assert_eq!((&report["flops"], &report["ops"]["Conv"]), (&(2 * MACS).into(), &49.into()));
    let layers = report["layers"].as_array().unwrap();
    let sum = |key: &str| layers.iter().map(|layer| layer[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("macs"), sum("params")), (MACS, PARAMS));
    assert_eq!(tilewise("inspect --json --batch 2").json()["macs"], 2 * MACS);
    let error = tilewise("inspect --shape input:99999999999x3x224x224").error();
    assert!(error.contains("f32[99999999999, 3, 224, 224] does not fit"), "{error}");
    assert!(tilewise("inspect").fine().contains("f32[N,1000]"));
}

#[test]
fn compare_holds_the_plan_against_the_reference() {
    let place = Place::new();
    place.write("add.onnx", &onnx::one_node("Add"));
    let report = place.run("compare -m add.onnx --json").json();
    assert_eq!(report["holds"], true);
    assert_keys(&report["layers"][0], &["node", "op", "max_abs", "max_rel"]);
    assert_keys(&report["outputs"][0], &["node", "max_abs", "max_rel"]);
}

#[test]
fn a_schedule_can_be_written_and_used() {
    let place = Place::new();
    place.run("explain --text --threads 1 -o plan.txt").fine();
    let text = place.read("plan.txt");
    assert!(text.starts_with("tilewise schedule 1\n") && text.lines().count() > 10, "{text}");
    let report = place.run("bench --schedule plan.txt --duration 0 --warmup 0 --threads 1 --json").json();
    assert_eq!(report["macs"], MACS);
    assert_eq!(place.run("explain --text --threads 1 --schedule plan.txt").fine(), text);

    place.write("bad.txt", b"faster, please");
    let error = place.run("bench --schedule bad.txt").error();
    assert!(error.contains("bad.txt") && error.contains("line 1"), "{error}");
    assert!(place.run("bench --schedule none.txt").error().contains("none.txt"));
}

/// A network that is tuned in a moment.
const SMALL: &str = "zoo:mobilenet-v1?width=0.25&size=32&classes=10";

#[test]
fn what_tune_finds_is_kept_and_used() {
    let place = Place::new();
    let before = place.run(&format!("explain -m {SMALL} --text --threads 1")).fine();
    let report = place.run(&format!("tune -m {SMALL} --threads 1 --budget 2 --json -o tuned.txt")).json();
    assert_keys(&report, &["model", "before_ms", "after_ms", "problems", "problems_measured", "choices", "changed"]);
    assert!(report["after_ms"].as_f64() <= report["before_ms"].as_f64(), "{report}");
    let store = place.read("cache/schedules.jsonl");
    assert!(store.lines().filter(|line| line.contains("\"problem\"")).count() > 0, "{store}");

    // Every verb runs what was found, unless it is told otherwise; the file says the same.
    let tuned = place.read("tuned.txt");
    let text = |flags: &str| place.run(&format!("explain -m {SMALL} --text --threads 1 {flags}")).fine();
    assert_eq!(text(""), tuned);
    assert_eq!(text("--schedule tuned.txt"), tuned);
    assert_eq!(text("--schedule none"), before);
    // With another number of threads nothing is known.
    let two = |flags: &str| place.run(&format!("explain -m {SMALL} --text --threads 2 {flags}")).fine();
    assert_eq!(two(""), two("--schedule none"));
    let table = place.run(&format!("tune -m {SMALL} --threads 1 --budget 1")).fine();
    assert!(table.contains("distinct layers measured now") && table.contains("kept in"), "{table}");
}

#[test]
fn entries_of_a_schedule_that_do_not_fit_are_named_and_passed_over() {
    let place = Place::new();
    let good = place.run("explain --text --threads 1").fine();
    let strange = "gemm_f32_4x8_scalar mc=4 kc=8 nc=8 : /_conv_stem/Conv\ngemm_f32_4x8_scalar mc=4 kc=8 nc=8 : roof\nturns rows=4 : cellar\n";
    place.write("strange.txt", format!("tilewise schedule 1\n{strange}").as_bytes());
    let done = place.run("explain --text --threads 1 --schedule strange.txt");
    assert_eq!((done.code, done.out), (Some(0), good));
    let notes: Vec<&str> = done.err.lines().collect();
    assert_eq!(notes.len(), 3, "{notes:?}");
    let told =
        [["/_conv_stem/Conv", "scalar"], ["'roof'", "no layer of this name"], ["'cellar'", "no step of this name"]];
    for (note, parts) in notes.iter().zip(told) {
        assert!(parts.iter().all(|part| note.contains(part)), "{note}");
    }
    assert_eq!(place.run("infer --fill ones --schedule strange.txt -q").err, "");
}

#[test]
fn an_order_of_loops_runs_with_the_same_bits_and_an_illegal_one_is_named_with_the_reason() {
    let place = Place::new();
    let usual = place.run("explain --text --threads 1 --isa avx2").fine();
    let orders = [("conv-pointwise", "pixel,row,oc,ic"), ("conv-first", "row,oc,ic,pixel"), ("gemm", "m,k,n,n,m")];
    let with = |line: &str, order: &str| line.replacen(" : ", &format!(" order={order} : "), 1);
    let mut ordered = 0;
    let other: Vec<String> = usual
        .lines()
        .map(|line| {
            let order = orders.iter().find(|(op, _)| line.starts_with(op));
            ordered += usize::from(order.is_some());
            order.map_or_else(|| line.to_owned(), |(_, order)| with(line, order))
        })
        .collect();
    assert!(ordered > 5, "{usual}");
    let other = other.join("\n") + "\n";
    place.write("other.txt", other.as_bytes());
    assert_eq!(place.run("explain --text --threads 1 --isa avx2 --schedule other.txt").fine(), other);
    for (schedule, out) in [("none", "usual.npz"), ("other.txt", "other.npz")] {
        place.run(&format!("infer --fill random --threads 2 --isa avx2 --schedule {schedule} -o {out}")).fine();
    }
    let bytes = |name| std::fs::read(place.path(name)).unwrap();
    assert!(bytes("usual.npz") == bytes("other.npz"), "the order of the loops changed a bit");

    let line = |op: &str| usual.lines().find(|line| line.starts_with(op)).unwrap();
    let illegal = [
        (with(line("conv-first"), "oc,oc,ic,row"), "the number of 'oc' is 2, not 1"),
        (with(line("conv-pointwise"), "m,n,k"), "there is no 'm' in an order of oc,ic,row,pixel"),
        (with(line("conv-depthwise"), "row,oc,ic,pixel"), "an order of their own"),
    ];
    let lines: String = illegal.iter().map(|(line, _)| format!("{line}\n")).collect();
    place.write("illegal.txt", format!("tilewise schedule 1\n{lines}").as_bytes());
    let done = place.run("explain --text --threads 1 --isa avx2 --schedule illegal.txt");
    assert_eq!((done.code, done.out), (Some(0), usual.clone()));
    let told: Vec<&str> = illegal.iter().map(|(_, why)| *why).filter(|why| !done.err.contains(why)).collect();
    assert!(told.is_empty() && done.err.lines().count() == illegal.len(), "{told:?} not in {}", done.err);
}

#[test]
fn explain_lists_the_ways_to_run_a_layer() {
    let rows = tilewise("explain --layer stem --duration 0 --threads 1 --json").json();
    let ways = rows[0]["candidates"].as_array().unwrap();
    assert!(ways.len() > 3 && ways.iter().all(|way| way["predicted_ms"].as_f64() > Some(0.0)), "{rows}");
    assert!(ways.iter().any(|way| way["choice"] == rows[0]["choice"] && way["measured_ms"].as_f64() > Some(0.0)));
    let text = tilewise("explain --layer stem --loops --duration 0").fine();
    assert!(text.contains("ways to run") && text.contains("\n*") && text.contains("in registers"), "{text}");
}

#[test]
fn explain_shows_one_layer() {
    let text = tilewise("explain --layer stem --duration 0").fine();
    let rows: Vec<&str> = text.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    assert!(rows.len() == 1 && rows[0].starts_with("/_conv_stem/Conv"), "{text}");
    let rows = tilewise("explain --layer stem --duration 0 --json").json();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_keys(&rows[0], &["layer", "op", "choice", "predicted_ms", "measured_ms", "bound", "of_bound", "terms_ms"]);
    assert!(tilewise("explain --layer roof --duration 0").error().contains("'roof'"));
}

#[test]
fn the_zoo_is_listed_and_counted() {
    let list = tilewise("zoo list --json").json();
    let table = tilewise("zoo table --json").json();
    assert_eq!(list.as_array().unwrap().len(), table.as_array().unwrap().len());
    for row in table.as_array().unwrap() {
        assert_keys(row, &["name", "params", "macs", "activations", "weight_bytes", "peak_live_bytes", "published"]);
        assert!(row["macs"].as_u64() > Some(100_000), "{row}");
    }
    let text = tilewise("zoo table").fine();
    assert!(text.contains("138.36 M") && text.contains("2 x 861 M") && text.contains("Published figures"), "{text}");
    assert!(tilewise("zoo list").fine().contains("mobilenet-v1"));
}

#[test]
fn a_network_of_the_zoo_is_inspected_as_in_its_paper() {
    let text = tilewise("inspect -m zoo:mobilenet-v1").fine();
    for cells in [
        "Conv / s2 3x3x3x32 224x224x3 10838016 864",
        "Conv dw / s1 3x3x32 dw 112x112x32 3612672 288",
        "Conv / s1 1x1x32x64 112x112x32 25690112 2048",
        "Avg pool / s1 Pool 7x7 7x7x1024 0 0",
        "FC / s1 1024x1000 1x1x1024 1024000 1025000",
    ] {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.lines().any(|line| words(line).ends_with(cells)), "{cells} is not in\n{text}");
    }
    assert!(text.contains("Clip 27") && tilewise("inspect -v -m zoo:lenet-5").out.contains("Relu"));
}

#[test]
fn a_network_of_the_zoo_runs_and_is_exported() {
    let place = Place::new();
    let small = "zoo:mobilenet-v1?width=0.25&size=32&classes=10";
    place.run(&format!("zoo export {} -o small.onnx -q", &small[4..])).fine();
    place.run(&format!("infer -m {small} --fill ones --batch 2 -o a.npz")).fine();
    place.run("infer -m small.onnx --fill ones --batch 2 -o b.npz").fine();
    let [a, b] = ["a.npz", "b.npz"].map(|name| tilewise::npy::read(&place.path(name)).unwrap());
    assert_eq!(a[0].1.shape(), [2, 10]);
    assert_eq!(a[0].1.bytes()[..], b[0].1.bytes()[..]);
    assert_eq!(place.run("inspect -m small.onnx --json").json()["opset"], 17);
    // Another seed is another network.
    place.run(&format!("infer -m {small} --seed 8 --fill ones --batch 2 -o c.npz")).fine();
    let c = tilewise::npy::read(&place.path("c.npz")).unwrap();
    assert_ne!(a[0].1.bytes()[..], c[0].1.bytes()[..]);
    assert_eq!(place.run(&format!("check -m {small}")).fine(), format!("{small} runs\n"));

    let error = place.run("bench -m zoo:resnet50").error();
    assert!(error.contains("did you mean 'resnet-50'"), "{error}");
    let error = place.run("zoo export vgg-16?size=8 -o vgg.onnx").error();
    assert!(error.contains("vgg-16 at 8 x 8") && !place.path("vgg.onnx").exists(), "{error}");
}

#[test]
fn trained_tensors_take_the_place_of_seeded_ones() {
    let place = Place::new();
    let shapes = [("fc1", 300, 784), ("fc2", 100, 300), ("fc3", 10, 100)];
    let tensors: Vec<(String, Vec<usize>)> = shapes
        .iter()
        .flat_map(|&(name, out, inputs)| {
            [(format!("{name}.weight"), vec![out, inputs]), (format!("{name}.bias"), vec![out])]
        })
        .collect();
    // All elements are one: the output is what two layers of ones make of an input of ones, plus the last bias.
    place.write("ones.safetensors", &safetensors(&tensors));
    place.run("infer -m zoo:lenet-300-100 --weights ones.safetensors --fill ones -o y.npz").fine();
    let y = tilewise::npy::read(&place.path("y.npz")).unwrap();
    let expected = ((784.0f32 + 1.0) * 300.0 + 1.0) * 100.0 + 1.0;
    // Sums in another order differ in the last bits.
    assert!(y[0].1.values::<f32>().unwrap().iter().all(|y| (y / expected - 1.0).abs() < 1e-5), "{y:?}");

    let mut wrong = tensors;
    wrong[0].1 = vec![784, 300];
    wrong[3].0 = "other".to_owned();
    place.write("wrong.safetensors", &safetensors(&wrong));
    let done = place.run("infer -m zoo:lenet-300-100 --weights wrong.safetensors --fill ones");
    assert_eq!(done.code, Some(1));
    for part in ["missing    fc2.bias", "misshapen  fc1.weight: expected f32[300, 784]", "left over  other"] {
        assert!(done.err.contains(part), "{part} is not in {}", done.err);
    }
    let error = place.run("bench --model none.onnx --weights ones.safetensors").error();
    assert!(error.contains("-m zoo:"), "{error}");
}

/// A safetensors file of f32 tensors of ones.
fn safetensors(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let (mut header, mut at) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors {
        let end = at + 4 * shape.iter().product::<usize>();
        header.insert(name.clone(), serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [at, end]}));
        at = end;
    }
    let header = serde_json::Value::Object(header).to_string();
    let ones = 1f32.to_le_bytes().repeat(at / 4);
    [(header.len() as u64).to_le_bytes().to_vec(), header.into_bytes(), ones].concat()
}

#[test]
fn machine_measures_its_ceilings() {
    let report = tilewise("machine --json --duration 0.2").json();
    assert_keys(&report, &["cpu", "isa", "threads", "caches", "peaks", "reads"]);
    let positive = |list: &str, key: &str| {
        let list = report[list].as_array().unwrap();
        !list.is_empty() && list.iter().all(|row| row[key].as_f64().unwrap() > 0.0)
    };
    assert!(positive("peaks", "fma_gflops") && positive("reads", "read_gb_per_s"), "{report}");
}

#[test]
fn tables_list_all_there_is_in_columns() {
    for (verb, rows, heads) in [
        ("kernels", catalog().count(), &["kernel", "problem", "isa", "here"][..]),
        ("passes", passes::ALL.len(), &["pass", "what it does"]),
    ] {
        let text = tilewise(verb).fine();
        let lines: Vec<&str> = text.lines().collect();
        assert!(rows > 10 && lines.len() == rows + 1, "{verb}: {} lines for {rows} rows", lines.len());
        for at in heads.iter().map(|head| lines[0].find(head).unwrap()) {
            let begins = |line: &&str| !line[at..].starts_with(' ') && (at == 0 || line[..at].ends_with("  "));
            assert!(lines.iter().all(begins), "a column of {verb} is not straight at {at}\n{text}");
        }
        assert_eq!(tilewise(&format!("{verb} --json")).json().as_array().unwrap().len(), rows);
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    for line in ["kernels", "passes --json", "inspect", "run --format json", "run --format csv"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Place::new().command(line).stdout(writer).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{line}");
    }
}
