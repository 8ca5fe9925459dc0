//! The text form of a graph: what `inspect`, tests and error reports show, and what parses back.
//!
//! ```text
//! # a comment
//! input x: f32[N,3,4,4]
//! const w: f32[2,3,1,1] = fill
//! const s: i64[2] = 1 -1
//! y = Conv(x, w, -) strides=[1,1] activation="Relu"
//! a, b = Split(y, s) axis=1
//! output a
//! output second = b
//! ```
//!
//! * A length is a number, a symbol, or `?` where nothing is known; `f32[*]` is a type of unknown rank.
//! * Constants of up to 64 elements are written out, larger ones as `fill`. Parsed, `fill` is a fixed pattern that
//!   depends on the number of elements only: whole numbers in -8..=8 (their magnitudes for unsigned types), over 32
//!   for floating-point types. So a test writes a network without its weights.
//! * `fill scaled 1 2` is a constant with a factor for each index of its first axis.
//! * An absent input is `-`. Attributes are those of [`crate::Op::attributes`]; the ones left out have their defaults.
//! * A name is quoted where it would not parse back as it stands; a second value of the same name gets `~2` added.
//!
//! The text names values: parsed nodes are called like their first output, have no merged names, and are typed by
//! their shape rules.

mod parse;
mod write;

/// Constants of more elements are written as `fill`.
const WRITTEN_OUT: usize = 64;

/// True for a name that the parser reads back without quotes.
fn is_bare(name: &str) -> bool {
    !name.is_empty() && name != "-" && !name.ends_with(':') && name.chars().all(is_bare_char)
}

fn is_bare_char(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !",()=[]\"#".contains(c)
}

#[cfg(test)]
mod tests {
    use tilewise_tensor::{DType, Tensor};

    use crate::attr::AttrMap;
    use crate::ops::Unary;
    use crate::{Constant, Dim, Graph, GraphError, Op, ValueType};

    fn fails(text: &str, line: usize, part: &str) {
        match text.parse::<Graph>() {
            Err(GraphError::Text { line: at, reason }) => {
                assert!(at == line && reason.contains(part), "line {at}: {reason}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn texts_parse_back_as_they_were() {
        let texts = [
            "input x: f32[N,3,?,8]\nconst w: f32[5,3,3,3] = fill\ny = Conv(x, w) pads=[1,1,1,1] activation=\"Clip(0.0,6.0)\"\noutput y\n",
            "input input: f32[*]\noutput = Relu(input)\noutput output\noutput again = output\n",
            "const a: f32[3] = 0.5 -inf NaN\nconst b: f32[] = 1e-30\ny = Mul(a, b)\noutput y\n",
            "const a: f16[2] = 1.5 2\noutput a\nconst b: bool[2] = 1 0\noutput b\nconst c: u8[0] =\noutput c\n",
            "input x: f32[1,3,4,4]\nconst w: f32[2,3,1,1] = 1 2 3 4 5 6 scaled 0.5 2\ny:0 = Conv(x, w)\noutput y:0\n",
            "input \"a b\": f32[\"1x\",\"*\"]\n\"-\" = Relu(\"a b\")\n\"q\\\"\\n\" = LeakyRelu(\"-\") alpha=0.5\noutput \"\" = \"q\\\"\\n\"\n",
            "input x: f32[1,1,2,2]\nconst w: f32[1,1,1,1] = 2\ny = Conv(x, w, -, x)\noutput y\n",
        ];
        for text in texts {
            let graph: Graph = text.parse().unwrap();
            graph.verify().unwrap();
            assert_eq!(graph.to_string(), text);
        }
    }

    #[test]
    fn large_constants_become_the_pattern() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", ValueType::new(DType::F32, vec![Dim::Symbol("N".into()), 3.into(), 8.into()]));
        let base = Tensor::zeros(DType::F32, &[65, 3, 1]).unwrap();
        let w = graph.add_stored("w", Constant::Scaled { base, scale: vec![1.0; 65].into() });
        let conv = Op::read("Conv", &mut AttrMap::default()).unwrap().unwrap();
        let y = graph.add_node("y", conv, &[Some(x), Some(w)]).unwrap()[0];
        graph.add_output("y", y);
        let text = graph.to_string();
        assert!(text.contains("const w: f32[65,3,1] = fill scaled fill\n"), "{text}");
        let parsed: Graph = text.parse().unwrap();
        assert_eq!(parsed.to_string(), text);
        let (id, _) = parsed.nodes().next().unwrap();
        let weights = parsed.constant(parsed.node(id).inputs[1].unwrap()).unwrap().stored().clone();
        let values = weights.values::<f32>().unwrap();
        assert!(values.iter().all(|x| (x * 32.0).fract() == 0.0 && x.abs() <= 0.25));
        assert!(values.iter().any(|&x| x != values[0]));
    }

    #[test]
    fn names_that_repeat_are_told_apart() {
        let mut graph = Graph::default();
        let mut x = graph.add_input("x", ValueType::known(DType::F32, &[1]));
        for _ in 0..2 {
            x = graph.add_node("x", Unary("Relu".parse().unwrap()), &[Some(x)]).unwrap()[0];
        }
        graph.add_output("x", x);
        let text = graph.to_string();
        assert_eq!(text, "input x: f32[1]\nx~2 = Relu(x)\nx~3 = Relu(x~2)\noutput x = x~3\n");
        assert_eq!(text.parse::<Graph>().unwrap().to_string(), text);
    }

    #[test]
    fn shape_arithmetic_is_known_after_parsing() {
        let text = "input x: f32[2,3,4]\nconst k: i64[3] = 2 1 4\ns = Shape(x)\nt = Div(s, k)\ny = Expand0(x, t)\n";
        fails(text, 5, "no operator Expand0");
        let text = text.replace("y = Expand0(x, t)", "u = Mul(t, k)\ny = Reshape(x, u)\noutput y");
        let graph: Graph = text.parse().unwrap();
        assert_eq!(graph.value(graph.outputs()[0].1).ty.to_string(), "f32[2,3,4]");
    }

    const ALL_FORMS: &str = "# a comment\ninput \"a b\": f32[N,3,?,8]\nconst w: f32[5,3,3,3] = fill\n\
        const s: f32[2,1] = 1 -inf scaled 0.5 2\ny = Conv(\"a b\", w, -) pads=[1,1,1,1] activation=\"Clip(0.0,6.0)\"\n\
        const k: i64[2] = 1 4\np, q = Split(y, k) axis=1\nr = LeakyRelu(p) alpha=1e-3\noutput \"\\u{e9}\" = r\noutput q\n";

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(
            edits in proptest::collection::vec((0..ALL_FORMS.len(), "[-\"\\\\#(),.:=?\\[\\]0-9a-z \n\u{e9}]{0,3}"), 1..4)
        ) {
            let mut text: Vec<String> = ALL_FORMS.chars().map(String::from).collect();
            for (at, insert) in edits {
                let at = at % text.len();
                text[at] = insert;
            }
            // Whatever is still a graph can be shown, and reads as the same graph.
            if let Ok(graph) = text.concat().parse::<Graph>() {
                let shown = graph.to_string();
                proptest::prop_assert_eq!(shown.parse::<Graph>().map(|again| again.to_string()), Ok(shown));
            }
        }
    }

    #[test]
    fn errors_name_the_line() {
        fails("input x: f32[1]\n\ny = Relu(z)\n", 3, "no value 'z'");
        fails("input x: f33[1]", 1, "f33");
        fails("input x: f32[1", 1, "expected ']'");
        fails("input x: f32[1]\ninput x: f32[1]", 2, "twice");
        fails("const w: f32[2] = 1", 1, "2 elements");
        fails("const w: f32[2] = 1 one", 1, "'one'");
        fails("const w: i64[2] = 1 2 scaled 1 2", 1, "f32");
        fails("const w: f32[2] = 1 2 scaled 1", 1, "1 factors");
        fails("const w: f32[N] = fill", 1, "known");
        fails("const w: f32[99999999999] = fill", 1, "too many");
        fails("input x: f32[1]\ny = Relu(x) colour=1", 2, "colour");
        fails("input x: f32[1]\ny, z = Relu(x)", 2, "outputs");
        fails("input x: f32[1]\ny = Relu(x) )", 2, "expected an attribute");
        fails("input x: f32[1]\ny = Relu(\"x)", 2, "closing");
        fails("input x: i64[1]\ny = Relu(-)", 2, "missing");
        fails("nothing x", 1, "input, const, output");
        fails("output", 1, "name");
    }
}
