//! `profile`: its table, its files, and what of its page can be told without a browser.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Place, tilewise};
use crate::{MACS, assert_keys};

/// A small network, measured for no longer than it must be.
const SMALL: &str = "profile -m zoo:lenet-5 --duration 0 --threads 1";

fn sum(rows: &Value, key: &str) -> f64 {
    rows.as_array().unwrap().iter().map(|row| row[key].as_f64().unwrap()).sum()
}

#[test]
fn the_table_has_layers_kinds_and_totals() {
    let text = tilewise("profile --duration 0").fine();
    for part in ["merged nodes", "Conv dw 3x3", "of roof", "ceilings", "DRAM", "45 nm CMOS at 0.9 V", "measured"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.contains("/_conv_stem/Conv"), "{text}");
}

#[test]
fn json_adds_up() {
    let report = tilewise("profile --duration 0 --threads 1 --json").json();
    let keys = "model batch machine ceilings energy_table measured runs median_ms ms macs weight_bytes arena_bytes";
    assert_keys(&report, &keys.split_whitespace().collect::<Vec<_>>());
    let layer = "layer op kind kernel choice output merged ms share macs gflops bytes gb_per_s intensity floor_ms roof \
                 bound live_bytes traffic energy_mj";
    assert_keys(&report["layers"][0], &layer.split_whitespace().collect::<Vec<_>>());
    assert_eq!(report["macs"], MACS);
    for rows in [&report["layers"], &report["kinds"]] {
        assert_eq!(sum(rows, "macs"), MACS as f64);
        assert!((sum(rows, "share") - 1.0).abs() < 1e-9, "{report}");
        assert!((sum(rows, "ms") / report["ms"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{report}");
    }
    let layers = report["layers"].as_array().unwrap();
    assert!(layers.iter().all(|l| l["live_bytes"].as_u64() <= report["arena_bytes"].as_u64()), "{report}");
    // 4.6 pJ for each multiply-add.
    let arithmetic: f64 = layers.iter().map(|l| l["energy_mj"]["arithmetic"].as_f64().unwrap()).sum();
    assert!((arithmetic / (MACS as f64 * 4.6e-9) - 1.0).abs() < 1e-9, "{arithmetic}");
    // What each layer moves is what its traffic is of; scratch goes both ways.
    for l in layers {
        let bytes = |key: &str| l["bytes"][key].as_u64().unwrap();
        let moved = bytes("weights") + bytes("inputs") + bytes("outputs") + 2 * bytes("scratch");
        let parts = ["weights", "activations"].map(|key| l["traffic"][key].as_array().unwrap());
        assert_eq!(parts.into_iter().flatten().filter_map(Value::as_u64).sum::<u64>(), moved, "{l}");
    }
    let measured = &report["measured"];
    assert_ne!(measured["package_mj"].is_null(), measured["unavailable"].is_null(), "{measured}");
}

#[test]
fn files_are_written_beside_the_table() {
    let place = Place::new();
    let text = place.run(&format!("{SMALL} --json p.json --csv p.csv --trace p.trace --html p.html")).fine();
    assert!(text.contains("GFLOP/s"), "{text}");
    let report: Value = serde_json::from_str(&place.read("p.json")).unwrap();
    let layers = report["layers"].as_array().unwrap();

    let csv = place.read("p.csv");
    assert!(csv.starts_with("layer,kind,op,kernel,choice,output,merged,ms,share,macs,"), "{csv}");
    assert_eq!(csv.lines().count(), layers.len() + 1);

    let trace: Value = serde_json::from_str(&place.read("p.trace")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let slices: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(slices.len(), layers.len());
    let mut at = 0.0;
    for (slice, layer) in slices.iter().zip(layers) {
        assert_eq!(slice["name"], layer["layer"]);
        assert!((slice["ts"].as_f64().unwrap() - at).abs() < 1e-6, "{slice} does not begin where the last one ended");
        at += slice["dur"].as_f64().unwrap();
    }
    assert!((at / 1e3 / report["ms"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{at}");
    assert_eq!(events.iter().filter(|event| event["ph"] == "C").count(), layers.len() + 1);

    let page = place.read("p.html");
    let data = page.split("<script type=\"application/json\" id=\"data\">").nth(1).unwrap();
    let data: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    assert_eq!(data, report);
    assert!(page.contains("default-src 'none'") && !page.contains("{{"), "the page asks for more, or lacks a part");
}

#[test]
fn a_format_may_take_standard_output_but_not_two() {
    let csv = tilewise(&format!("{SMALL} --csv")).fine();
    assert!(csv.starts_with("layer,") && csv.lines().count() > 5, "{csv}");
    assert!(tilewise(&format!("{SMALL} --csv --json")).error().contains("standard output"));
}

#[test]
fn another_table_of_energies_takes_the_place_of_the_default() {
    let place = Place::new();
    let table = r#"{"name": "free sums", "add_pj": 0, "multiply_pj": 1, "caches": [{"kib": 32, "word_pj": 1}],
                    "dram_word_pj": 0}"#;
    place.write("mine.json", table.as_bytes());
    let report = place.run(&format!("{SMALL} --energy mine.json --json")).json();
    assert_eq!(report["energy_table"]["name"], "free sums");
    let energy: f64 =
        report["kinds"].as_array().unwrap().iter().map(|k| k["energy_mj"]["arithmetic"].as_f64().unwrap()).sum();
    assert!((energy / (report["macs"].as_f64().unwrap() * 1e-9) - 1.0).abs() < 1e-9, "{energy}");
    for (name, bytes) in [("none.json", None), ("bad.json", Some("{}"))] {
        if let Some(bytes) = bytes {
            place.write(name, bytes.as_bytes());
        }
        assert!(place.run(&format!("{SMALL} --energy {name}")).error().contains(name));
    }
}

#[test]
fn batches_and_threads_are_what_was_asked_for() {
    let report = tilewise("profile -m zoo:lenet-5 --duration 0 --threads 2 --batch 3 --json").json();
    assert_eq!((&report["batch"], &report["machine"]["threads"]), (&3.into(), &2.into()));
    let one = tilewise(&format!("{SMALL} --json")).json();
    assert_eq!(report["macs"].as_u64().unwrap(), 3 * one["macs"].as_u64().unwrap());
}

/// Counters as Linux has them: a package with its memory and its cores, and the same package once more by another bus.
fn counters(place: &Place, energy: &str) {
    for (zone, name) in [
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "dram"),
        ("intel-rapl-mmio:0", "package-0"),
    ] {
        place.write(&format!("powercap/{zone}/name"), format!("{name}\n").as_bytes());
        place.write(&format!("powercap/{zone}/max_energy_range_uj"), b"262143328850\n");
        place.write(&format!("powercap/{zone}/energy_uj"), energy.as_bytes());
    }
}

#[test]
fn measured_energy_is_that_of_the_counters() {
    let place = Place::new();
    // A millijoule of the package and half of one of memory each millisecond; the counter of the package comes round.
    let (range, start, step) = (262_143_328_850_u64, 262_143_300_000_u64, 1000);
    counters(&place, &format!("{start}\n"));
    let over = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 1.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                for (zone, step) in [("intel-rapl:0", step), ("intel-rapl:0:1", step / 2)] {
                    // In one piece, as the kernel shows it.
                    place.write("next", format!("{}\n", (start + turn * step) % range).as_bytes());
                    let file = format!("powercap/{zone}/energy_uj");
                    std::fs::rename(place.path("next"), place.path(&file)).unwrap();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let done = place.run("profile -m zoo:lenet-5 --duration 0.3 --threads 1 --powercap powercap --json");
        over.store(true, Ordering::Relaxed);
        done.json()
    });
    let (measured, runs) = (&report["measured"], report["runs"].as_f64().unwrap());
    let [package, dram] = ["package_mj", "dram_mj"].map(|key| runs * measured[key].as_f64().unwrap());
    // At most what 0.3 s and the time of a slow machine bring, and not the 262 kJ of a counter that came round unseen.
    assert!((10.0..60_000.0).contains(&package), "{package} mJ: {measured}");
    assert!((0.4..0.6).contains(&(dram / package)), "{dram} of {package} mJ");
    assert!(measured["unavailable"].is_null(), "{measured}");
}

#[test]
fn energy_that_is_not_measured_says_why() {
    let place = Place::new();
    let profile = |place: &Place| place.run(&format!("{SMALL} --powercap powercap")).fine();
    assert!(profile(&place).contains("energy not available: the machine offers no RAPL counters in powercap"));
    counters(&place, "77\n");
    assert!(profile(&place).contains("energy not available: the RAPL counters stand still"));
    place.write("powercap/intel-rapl:0/energy_uj", b"none\n");
    let text = profile(&place);
    assert!(text.contains("energy not available: cannot read powercap/intel-rapl:0/energy_uj"), "{text}");
}
