//! `infer`: raw tensors in and out of any model.

use tilewise::{DType, Tensor, npy};

use crate::support::{Place, onnx, tilewise};

/// A NumPy file of C order.
fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// A place with a model that adds `a` and `b`, both f32 `[N, 2]`.
fn adder() -> Place {
    let place = Place::new();
    place.write("add.onnx", &onnx::one_node("Add"));
    place.write("a.npy", &npy("<f4", "2, 2", &floats(&[1.0, 2.0, 3.0, 4.0])));
    place
}

fn arrays(place: &Place, name: &str) -> Vec<(String, Tensor)> {
    npy::read(&place.path(name)).unwrap()
}

#[test]
fn the_plan_agrees_with_the_reference() {
    let place = Place::new();
    place.run("infer --fill ones -o plan.npz").fine();
    place.run("infer --fill ones --reference -o reference.npz").fine();
    let [plan, reference] = ["plan.npz", "reference.npz"].map(|name| arrays(&place, name));
    assert_eq!((plan.len(), plan[0].0.as_str(), plan[0].1.shape()), (1, "logits", &[1, 1000][..]));
    let [plan, reference] = [plan, reference].map(|arrays| arrays[0].1.values::<f32>().unwrap().into_owned());
    let most = reference.iter().fold(0f32, |most, x| most.max(x.abs()));
    let off = plan.iter().zip(&reference).fold(0f32, |off, (x, y)| off.max((x - y).abs()));
    assert!(most > 0.0 && off <= 1e-4 * most, "{off} of {most}");
}

#[test]
fn inputs_come_from_files_and_are_filled() {
    let place = adder();
    let sum = |line: &str| {
        place.run(&format!("infer -m add.onnx {line} -o y.npz")).fine();
        let (name, y) = arrays(&place, "y.npz").remove(0);
        (name, y.shape().to_vec(), y.values::<f32>().unwrap().into_owned())
    };
    let plus_one = ("y".to_owned(), vec![2, 2], vec![2.0, 3.0, 4.0, 5.0]);
    assert_eq!(sum("--input a=a.npy --fill ones --shape b:2x2"), plus_one);
    let a = Tensor::from_slice(&[2, 2], &[1f32, 2.0, 3.0, 4.0]).unwrap();
    let b = Tensor::from_slice(&[2, 2], &[1f32; 4]).unwrap();
    npy::write_npz(&place.path("both.npz"), &[("b", &b), ("a", &a)]).unwrap();
    assert_eq!(sum("--input both.npz"), plus_one);
    assert_eq!(sum("--input a=both.npz --input b=both.npz"), plus_one);
    assert_eq!(sum("--input both.npz --reference"), plus_one);
    assert_eq!(sum("--fill ones --batch 3"), ("y".to_owned(), vec![3, 2], vec![2.0; 6]));
}

#[test]
fn outputs_are_told_in_short() {
    let place = adder();
    let rows = place.run("infer -m add.onnx --fill ones --json").json();
    assert_eq!((&rows[0]["name"], &rows[0]["dtype"], &rows[0]["mean"]), (&"y".into(), &"f32".into(), &2.0.into()));
    assert_eq!(rows[0]["shape"], serde_json::json!([1, 2]));
    assert!(place.run("infer -m add.onnx --fill zeros").fine().contains("f32[1,2]"));
}

#[test]
fn what_is_given_wrong_is_named() {
    let place = adder();
    place.write("wide.npy", &npy("<f4", "2, 3", &floats(&[0.0; 6])));
    place.write("whole.npy", &npy("<i4", "2, 2", &[0; 16]));
    place.write("short.npy", &npy("<f4", "2, 2", &[0; 12]));
    let pair = Tensor::zeros(DType::F32, &[1, 2]).unwrap();
    npy::write_npz(&place.path("two.npz"), &[("c", &pair), ("d", &pair)]).unwrap();
    place.write("text.npy", b"1 2 3 4\n5 6 7 8\n");
    for (flags, parts) in [
        ("", &["a, b", "--input", "--fill"][..]),
        ("--input a=a.npy", &["given for b"]),
        ("--input c=a.npy --fill ones", &["'c'", "the model has a, b"]),
        ("--input a=two.npz --fill ones", &["two.npz", "2 arrays", "'a'"]),
        ("--input a=a.npy --input a=a.npy --fill ones", &["'a'", "twice"]),
        ("--shape c:2x2 --fill ones", &["'c'", "the model has a, b"]),
        ("--input a=wide.npy --fill ones", &["'a'", "expected f32[N,2]", "got f32[2,3]"]),
        ("--input a=wide.npy --fill ones --reference", &["'a'", "expected f32[N,2]", "got f32[2,3]"]),
        ("--input a=whole.npy --fill ones --shape b:2x2", &["'a'", "expected f32[", "got i32[2,2]"]),
        ("--input a=whole.npy --fill ones --shape b:2x2 --reference", &["'a'", "expected f32[", "got i32[2,2]"]),
        ("--input a=short.npy --fill ones", &["short.npy"]),
        ("--input a=text.npy --fill ones", &["text.npy", "NUMPY"]),
        ("--input a=none.npy --fill ones", &["none.npy", "No such file"]),
    ] {
        let error = place.run(&format!("infer -m add.onnx {flags}")).error();
        assert!(parts.iter().all(|part| error.contains(part)), "{flags}: {error}");
        let files = error.matches(".npy:").count();
        assert!(files <= 1, "a file is named once: {error}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let error = tilewise("infer --fill zeros -o none/y.npz").error();
    assert!(error.contains("cannot write") && error.matches("none/y.npz").count() == 1, "{error}");
}
