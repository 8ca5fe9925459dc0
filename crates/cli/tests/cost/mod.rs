//! `ladder` and `predict`: what things cost, here and elsewhere.

use crate::assert_keys;
use crate::support::{Done, Place, tilewise};

#[test]
fn ladders_report_every_rung_in_json_and_on_a_page() {
    let place = Place::new();
    let report = place.run("ladder gemm --size 33x17x65 --duration 0 --json --html page.html").json();
    assert_keys(&report, &["cpu", "isa", "threads", "fma_peak_gflops", "ladders"]);
    let rungs = report["ladders"][0]["rungs"].as_array().unwrap();
    let names: Vec<&str> = rungs.iter().map(|rung| rung["rung"].as_str().unwrap()).collect();
    let expected = ["naive", "blocked", "hierarchical", "simd-columns", "simd-dot", "simd-transposed", "packed"];
    assert_eq!(names, expected);
    for rung in rungs {
        assert_keys(
            rung,
            &["change", "macs", "ms", "gflops", "peak_fraction", "intensity", "working_set_bytes", "error"],
        );
        assert_keys(&rung["intensity"], &["L1", "L2", "L3", "DRAM"]);
        assert_eq!((&rung["right"], &rung["macs"]), (&true.into(), &(33 * 17 * 65).into()), "{rung}");
    }
    let page = place.read("page.html");
    assert!(names.iter().all(|name| page.contains(name)) && page.contains("<svg") && !page.contains("http"), "{page}");
}

#[test]
fn a_ladder_refuses_sizes_that_it_has_no_problem_for() {
    let error = tilewise("ladder conv --size 8").error();
    assert!(error.contains("conv") && error.contains("CHANNELSxPIXELSxKERNEL"), "{error}");
    for line in ["ladder gemm --size 8xx", "ladder stairs", "ladder --size 8"] {
        assert_eq!(tilewise(line).code, Some(2), "{line}");
    }
}

#[test]
fn rungs_without_a_kernel_for_the_size_are_named() {
    let ladder =
        |size: &str| tilewise(&format!("ladder conv --size {size} --duration 0 --json")).json()["ladders"][0].take();
    let (three, five) = (ladder("16x9x3"), ladder("16x9x5"));
    let names = |ladder: &serde_json::Value| {
        ladder["rungs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rung| rung["rung"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let plain = ["naive", "direct", "im2col-gemm", "blocked-direct"];
    assert_eq!(names(&three), [&plain[..], &["winograd-f2", "winograd-f4", "winograd-f6"]].concat());
    assert_eq!(three["left_out"], serde_json::json!(["fft"]));
    assert!(names(&five).contains(&"fft".to_owned()) && five["left_out"].as_array().unwrap().len() < 3, "{five}");
    let text = tilewise("ladder conv --size 16x9x3 --duration 0").fine();
    assert!(text.contains("Left out, as no kernel takes this size: fft."), "{text}");
}

#[test]
fn predictions_name_what_bounds_each_layer() {
    let report = tilewise("predict --machine tpu-v1 -m zoo:alexnet --json").json();
    assert_keys(&report, &["model", "machine", "precision", "peak_gops", "floor_ms", "expected_ms", "mj", "why"]);
    let layers = report["layers"].as_array().unwrap();
    for layer in layers {
        assert_keys(layer, &["layer", "op", "macs", "bytes", "floor_ms", "expected_ms", "bound", "mj", "steps"]);
        assert!(layer["expected_ms"].as_f64() >= layer["floor_ms"].as_f64(), "{layer}");
    }
    let fc6 = layers.iter().find(|layer| layer["layer"] == "fc6").unwrap();
    // 9216 x 4096 weights of a byte at 34 GB/s; 36 x 16 tiles of 2 x 256 + 256 + 1 - 2 steps.
    assert_eq!((&fc6["bound"], fc6["steps"].as_f64()), (&"weights".into(), Some(36.0 * 16.0 * 767.0)));
    assert!((fc6["expected_ms"].as_f64().unwrap() - 1.110).abs() < 0.002, "{fc6}");
}

#[test]
fn machines_are_compared_and_files_of_them_are_read() {
    let table = tilewise("predict --all -m zoo:lenet-5 --threads 1").fine();
    for name in ["this", "phone", "k80", "h100", "tpu-v1"] {
        assert!(table.lines().any(|line| line.starts_with(name)), "{name}: {table}");
    }
    let place = Place::new();
    place.write("half.json", ::tilewise::predict::MACHINES[0].replace("44.8", "22.4").as_bytes());
    let ms = |line: &str| place.run(line).json()["expected_ms"].as_f64().unwrap();
    let times =
        ["phone", "half.json"].map(|machine| ms(&format!("predict --json -m zoo:resnet-18 --machine {machine}")));
    assert!(times[1] > 1.8 * times[0], "{times:?}");
    let error = place.run("predict --machine abacus").error();
    assert!(error.contains("abacus") && error.contains("tpu-v1"), "{error}");
}

#[test]
fn this_machine_is_held_against_its_predictions() {
    let place = Place::new();
    let report = place.run("predict --check --plot plot.html -m zoo:lenet-5 --threads 1 --json").json();
    let network = &report["networks"][0];
    assert_keys(network, &["network", "measured_ms", "predicted_ms", "error", "layer_error_median", "layer_spearman"]);
    assert_keys(&network["layer_spearman"], &["operations", "bytes", "prediction"]);
    // One network is no cloud of networks: its layers are.
    let told = report["layers_told_by"].as_array().unwrap();
    told.iter().for_each(|told| assert_keys(told, &["of", "pearson", "pearson_log", "spearman", "error_median"]));
    assert_eq!((told.len(), report.get("networks_told_by")), (3, None));
    assert!(place.read("plot.html").matches("<svg").count() == 3);
    let Done { code, .. } = place.run("predict --check --all");
    assert_eq!(code, Some(2));
}
