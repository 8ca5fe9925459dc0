//! `run`: photos in, labels out, in every form and from every source.

use std::fs::File;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tilewise::embedded::PHOTOS;

use crate::support::{Done, Place, tilewise};

const CATS: std::ops::RangeInclusive<u64> = 281..=285;
const ESPRESSO: u64 = 967;

/// The rows of JSON lines.
fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// File name and best class of each row; no class where the row is an error.
fn best(rows: &[Value]) -> Vec<(String, Option<u64>)> {
    let name = |row: &Value| row["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    rows.iter().map(|row| (name(row), row["top"][0]["class"].as_u64())).collect()
}

/// Checks that every photo has its row, and a right class.
#[track_caller]
fn assert_right(rows: &[Value]) {
    let best = best(rows);
    assert_eq!(best.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), PHOTOS.map(|(name, _)| name));
    assert!(best[0].1.is_some_and(|class| CATS.contains(&class)), "{best:?}");
    assert_eq!(best[1].1, Some(ESPRESSO));
}

#[test]
fn json_has_a_line_for_each_photo() {
    let rows = rows(&tilewise("run --format json").fine());
    assert_right(&rows);
    for row in &rows {
        let mut keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!((&keys[..], &row["error"]), (&["error", "path", "top"][..], &Value::Null));
        let top = row["top"].as_array().unwrap();
        let scores: Vec<f64> = top.iter().map(|ranked| ranked["score"].as_f64().unwrap()).collect();
        assert_eq!(scores.len(), 5);
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)) && scores.is_sorted_by(|a, b| a >= b), "{row}");
        assert!(top.iter().all(|ranked| ranked["label"].is_string()), "{row}");
    }
    assert_eq!(rows[1]["top"][0]["label"], "espresso");
}

#[test]
fn a_table_is_for_readers() {
    let text = tilewise("run --topk 1").fine();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + PHOTOS.len());
    assert!(lines[2].starts_with("coffee.png") && lines[2].contains("espresso") && lines[2].ends_with("967"), "{text}");
    let ends: Vec<usize> = lines.iter().map(|line| line.len()).collect();
    assert!(ends.iter().all(|&end| end == ends[0]), "the last column lines up on the right\n{text}");
}

#[test]
fn csv_has_a_line_for_each_class() {
    let place = Place::new();
    assert_eq!(place.run("run --format csv --topk 2 -o top.csv").fine(), "");
    let text = place.read("top.csv");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("path,rank,class,label,score,error", 1 + 2 * PHOTOS.len()));
    assert!(lines[3].starts_with("coffee.png,1,967,espresso,0.") && lines[3].ends_with(','), "{text}");
}

#[test]
fn parquet_has_a_row_for_each_class() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, Int64Type};

    let place = Place::new();
    place.run("run --format parquet --topk 3 -o top.parquet").fine();
    let file = File::open(place.path("top.parquet")).unwrap();
    let mut groups = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let group = groups.next().unwrap().unwrap();
    let column = |name| group.column_by_name(name).unwrap();
    assert_eq!(group.num_rows(), 3 * PHOTOS.len());
    assert_eq!(column("path").as_string::<i32>().value(3), "coffee.png");
    assert_eq!(column("rank").as_primitive::<Int64Type>().value(3), 1);
    assert_eq!(column("class").as_primitive::<Int64Type>().value(3), ESPRESSO as i64);
    assert!(column("score").as_primitive::<Float32Type>().value(3) > 0.5);
    assert_eq!(column("error").null_count(), group.num_rows());
    assert!(tilewise("run --format parquet").error().contains("-o FILE.parquet"));
}

#[test]
fn a_bad_photo_is_a_row_and_the_rest_goes_on() {
    let place = Place::with_photos();
    place.write("broken.jpg", b"no photo");
    let Done { code, out, err } = place.run("run . --format json");
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    let (broken, fine): (Vec<Value>, Vec<Value>) = rows(&out).into_iter().partition(|row| row["error"].is_string());
    assert_right(&fine);
    assert_eq!(best(&broken), [("broken.jpg".to_owned(), None)]);
}

#[test]
fn photos_come_from_files_globs_and_shards() {
    let place = Place::with_photos();
    let mut shard = tar::Builder::new(File::create(place.path("shard.tar")).unwrap());
    for (name, _) in PHOTOS {
        shard.append_path_with_name(place.path(name), format!("deep/{name}")).unwrap();
    }
    shard.finish().unwrap();
    assert_right(&rows(&place.run("run --json shard.tar").fine()));
    assert_right(&rows(&place.run("run --json chelsea.png coffee.png rocket.jpg").fine()));
    let globbed = rows(&place.run("run --json c*.png").fine());
    assert_eq!(best(&globbed)[1], ("coffee.png".to_owned(), Some(ESPRESSO)));
    assert_eq!(globbed.len(), 2);
}

#[test]
fn a_missing_path_is_a_row() {
    let place = Place::with_photos();
    let done = place.run("run --json missing.png coffee.png");
    let rows = rows(&done.out);
    assert_eq!((done.code, rows.len()), (Some(1), 2));
    assert!(rows[0]["error"].as_str().unwrap().contains("missing.png"), "{}", rows[0]);
    assert_eq!(best(&rows)[1].1, Some(ESPRESSO));
}

#[test]
fn results_depend_neither_on_the_batch_nor_on_threads() {
    let one = tilewise("run --json --batch 1 --threads 1").fine();
    for flags in ["--batch 2 --threads 1", "--batch 1 --threads 2", "--batch 3 --threads 2"] {
        assert_eq!(tilewise(&format!("run --json {flags}")).fine(), one, "{flags}");
    }
}

#[test]
fn every_instruction_set_sees_the_same() {
    for isa in ["scalar", "avx2", "avx512"] {
        assert_right(&rows(&tilewise(&format!("run --json --isa {isa}")).fine()));
    }
}

#[test]
fn labels_may_be_others() {
    let place = Place::new();
    let names: String = (0..1000).map(|class| format!("class {class}\n")).collect();
    place.write("names.txt", names.as_bytes());
    let rows = rows(&place.run("run --json --labels names.txt --topk 1").fine());
    assert_eq!(rows[1]["top"][0]["label"], "class 967");
    place.write("few.txt", b"cat\ndog\n");
    let error = place.run("run --labels few.txt").error();
    assert!(error.contains("few.txt") && error.contains("2 names") && error.contains("1000 classes"), "{error}");
    assert!(place.run("run --labels none.txt").error().contains("none.txt"));
}

#[test]
fn an_unknown_preprocessing_names_the_known_ones() {
    let error = tilewise("run --preprocess sepia").error();
    for part in ["sepia", "torchvision", "timm-bicubic", "tf", "lite", "caffe"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_model_that_is_no_classifier_says_so() {
    let place = Place::new();
    place.write("add.onnx", &crate::support::onnx::one_node("Add"));
    let error = place.run("run -m add.onnx").error();
    assert!(error.contains("a: f32[N,2], b: f32[N,2]") && error.contains("a classifier takes"), "{error}");
}
