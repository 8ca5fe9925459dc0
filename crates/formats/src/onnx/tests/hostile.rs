//! Files that are broken, and files that lie.

use std::path::Path;

use super::models::{field, graph, model, number, tensor, value_info, varint, wrap};
use super::{import, owned, refusal};
use crate::onnx::{ImportError, check, read};

const SMALL: &str = "
    input x: f32[1,2]
    init w: f32[2] = 1 2
    y = Add(x, w)
    output y
";

#[test]
fn every_cut_and_every_flipped_byte_is_survived() {
    let bytes = model(17, SMALL);
    import(&bytes).unwrap();
    for end in 0..bytes.len() {
        assert!(import(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            // Either is fine, a panic is not.
            drop(import(&flipped));
        }
    }
}

#[test]
fn malformed_bytes_say_where_and_what() {
    let cases: [(Vec<u8>, &str); 10] = [
        (Vec::new(), "empty file"),
        (
            [number(1, 9), varint(7 << 3 | 2), varint(1 << 31), b"abc".to_vec()].concat(),
            "at byte 8, expected 2147483648 bytes",
        ),
        ([varint(1 << 3), vec![0xff; 11], vec![1]].concat(), "at byte 1, expected a number of at most 64 bits"),
        ([number(1, 9), varint(100 << 3 | 3)].concat(), "found a group"),
        (vec![0x0f, 0], "found wire type 7"),
        (vec![2, 1, b'a'], "a field number"),
        ([number(1, 9), number(7, 1)].concat(), "expected a message in field 7, found a varint"),
        (wrap(17, &field(1, &field(3, b"\xff"))), "expected UTF-8"),
        (wrap(17, &field(5, &field(4, &[0; 7]))), "numbers of 4 bytes each"),
        (vec![0x08], "expected another byte of a number, found the end of the message"),
    ];
    for (bytes, part) in cases {
        let message = refusal(&bytes);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let mut inner = field(1, &super::models::node("y = Identity(c)"));
    for _ in 0..200 {
        let attribute = [field(1, b"then_branch"), field(6, &inner), number(20, 5)].concat();
        inner = field(1, &[field(2, b"y"), field(4, b"If"), field(5, &attribute)].concat());
    }
    assert!(refusal(&wrap(17, &inner)).contains("messages at most 100 deep"));
}

#[test]
fn models_that_break_the_rules_are_invalid() {
    let cases = [
        (6, SMALL, "is of opset 6, expected 7 to 28"),
        (29, SMALL, "is of opset 29"),
        (17, "input x: f32[1]\ny = Relu(ghost)\noutput y", "reads 'ghost', which nothing makes"),
        (17, "input x: f32[1]\noutput y", "'y' is an output that nothing makes"),
        (17, "input x: f32[1]\ny = Relu(x)", "has no outputs"),
        (17, "input x: f32[1]\ny = Relu(x)\noutput y\noutput y", "'y' is an output twice"),
        (17, "input x: f32[1]\ny = Relu(x)\ny = Abs(x)\noutput y", "'y' is made by two nodes"),
        (17, "input x: f32[1]\ninput x: f32[1]\noutput x", "'x' is defined twice"),
        (17, "init w: f32[1] = 1\ninit w: f32[1] = 1\noutput w", "'w' is defined twice"),
        (17, "input x: f32[1]\ninit y: f32[1] = 1\ny = Relu(x)\noutput y", "'y' is defined twice"),
        (17, "input x: f32[1]\na = Add(x, b)\nb = Relu(a)\noutput b", "cycle"),
        (17, "input x: f32[1]\n- = Relu(x)\noutput x", "has no output"),
        (17, "input x\noutput x", "'x' is an input without a type"),
        (
            17,
            "input x: f32[1,2]\ninit w: f32[3] = 1 2 3\ny = Add(x, w)\noutput y",
            "node 'y' (Add of f32[1,2], f32[3])",
        ),
        (17, "input x: f32[1]\ny, z = Relu(x)\noutput y", "2 outputs are named, the operator has 1"),
        (17, "input x: f32[1]\ny = Relu(x) alpha=1 alpha=1\noutput y", "attribute 'alpha' is given twice"),
        (17, "init w: f32[2] = 1\noutput w", "tensor 'w': a tensor f32[2] needs 8 bytes, got 4"),
        (17, "init w: u8[1] = 300\noutput w", "tensor 'w': 300 is no u8"),
        (17, "init w: f32[1099511627776,1099511627776] =\noutput w", "does not fit in memory"),
    ];
    for (opset, text, part) in cases {
        let message = refusal(&model(opset, text));
        assert!(message.contains(part), "{text}: {message}");
    }
    let no_version = [field(8, &number(2, 17)), field(7, &graph(SMALL))].concat();
    assert!(refusal(&no_version).contains("no IR version"));
    let no_opset = [number(1, 8), field(7, &graph(SMALL))].concat();
    assert!(refusal(&no_opset).contains("states no opset"));
}

#[test]
fn names_from_the_file_are_escaped_and_cut() {
    let bytes = model(17, "input x: f32[1]\ny = Bad\u{1b}[2J(x)\noutput y");
    assert!(refusal(&bytes).contains("Bad\\u{1b}[2J"));
    let long = format!("input x: f32[1]\ny = {}(x)\noutput y", "A".repeat(1_000_000));
    assert!(refusal(&model(17, &long)).len() < 1000);
}

#[test]
fn everything_unsupported_is_listed_before_anything_runs() {
    let text = "
        input x: f32[1,2]
        a = NoSuchOp(x)
        b = Add(a, x)
        c = AnotherOp(b)
        d = Relu(c) colour=1
        output d
    ";
    let bytes = model(17, text);
    let Err(ImportError::Unsupported { nodes }) = import(&bytes) else { panic!("expected a list") };
    let listed: Vec<(&str, &str)> = nodes.iter().map(|n| (n.node.as_str(), n.op.as_str())).collect();
    assert_eq!(listed, [("a", "NoSuchOp"), ("c", "AnotherOp"), ("d", "Relu")]);
    let report = check(owned(&bytes), None).unwrap();
    assert_eq!((report.opset, report.unsupported, report.ops.len()), (17, nodes, 4));
}

/// A model whose one tensor stands in another file.
fn external(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut proto = tensor("w", "f32[4] =");
    for (key, value) in entries {
        proto.extend(field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat()));
    }
    proto.extend(number(14, 1));
    wrap(17, &[field(5, &proto), field(12, &value_info("w"))].concat())
}

#[test]
fn external_data_is_mapped_from_the_models_folder_alone() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    let data: Vec<u8> = (0..8).flat_map(|x| (x as f32).to_le_bytes()).collect();
    std::fs::write(folder.join("sub/data.bin"), &data).unwrap();
    std::fs::write(outer.path().join("secret.bin"), &data).unwrap();
    let from = |entries: &[(&str, &str)], folder: Option<&Path>| read(owned(&external(entries)), folder);
    let graph = from(&[("location", "sub/data.bin"), ("offset", "16"), ("length", "16")], Some(&folder)).unwrap();
    let stored = graph.constant(graph.outputs()[0].1).unwrap().stored().clone();
    assert_eq!(&*stored.values::<f32>().unwrap(), [4.0, 5.0, 6.0, 7.0]);

    let mut cases: Vec<Vec<(&str, &str)>> = vec![
        vec![],
        vec![("location", "")],
        vec![("location", "../secret.bin")],
        vec![("location", "sub/../../secret.bin")],
        vec![("location", "..\\secret.bin")],
        vec![("location", "sub/data.bin\0")],
        vec![("location", "sub")],
        vec![("location", "missing.bin")],
        vec![("location", "sub/data.bin"), ("location", "../secret.bin")],
    ];
    for (offset, length) in [("-16", "16"), ("ten", "16"), ("24", "16"), ("18446744073709551615", "16"), ("0", "8")] {
        cases.push(vec![("location", "sub/data.bin"), ("offset", offset), ("length", length)]);
    }
    let secret = outer.path().join("secret.bin");
    let absolute = secret.to_str().unwrap().to_owned();
    cases.push(vec![("location", &absolute)]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&secret, folder.join("link.bin")).unwrap();
        std::fs::hard_link(&secret, folder.join("hard.bin")).unwrap();
        cases.extend([vec![("location", "link.bin")], vec![("location", "hard.bin")]]);
    }
    for case in cases {
        let refused =
            matches!(from(&case, Some(&folder)), Err(ImportError::External { .. } | ImportError::Tensor { .. }));
        assert!(refused, "{case:?}");
    }
    assert!(matches!(from(&[("location", "sub/data.bin")], None), Err(ImportError::External { .. })));
}
