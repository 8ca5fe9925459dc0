//! Reading a graph from text.

use std::collections::HashMap;
use std::str::FromStr;

use tilewise_tensor::{DType, Tensor, numel};

use super::is_bare_char;
use crate::attr::{Attr, AttrMap};
use crate::{Constant, Dim, Graph, GraphError, Op, ValueId, ValueType};

/// Most elements of a constant in a text: a text is for looking at, and a typing error should not fill the memory.
const MOST_ELEMENTS: usize = 1 << 28;

/// Parses the text form, see [`crate::text`].
impl FromStr for Graph {
    type Err = GraphError;

    fn from_str(text: &str) -> Result<Self, GraphError> {
        let mut reader = Reader { graph: Graph::default(), names: HashMap::new() };
        for (number, line) in text.lines().enumerate() {
            let fail = |reason| GraphError::Text { line: number + 1, reason };
            reader.line(Cursor { rest: line }).map_err(fail)?;
        }
        // A node was typed when it was read; what shape arithmetic yields takes the whole graph.
        reader.graph.infer()?;
        Ok(reader.graph)
    }
}

struct Reader {
    graph: Graph,
    names: HashMap<String, ValueId>,
}

impl Reader {
    fn line(&mut self, mut line: Cursor<'_>) -> Result<(), String> {
        if line.at_end() {
            return Ok(());
        }
        let first = line.name()?;
        if line.sees('=') || line.sees(',') {
            return self.node(first, line);
        }
        match first.as_str() {
            "input" => {
                let (name, ty) = line.typed_name()?;
                line.end()?;
                let id = self.graph.add_input(&name, ty);
                self.define(name, id)
            }
            "const" => {
                let (name, ty) = line.typed_name()?;
                line.expect('=')?;
                let shape = ty.known_shape().ok_or("the shape of a constant is known")?;
                let id = self.graph.add_stored(&name, constant(ty.dtype, &shape, line.without_comment())?);
                self.define(name, id)
            }
            "output" => {
                let name = line.name()?;
                let value = if line.eat('=') { line.name()? } else { name.clone() };
                line.end()?;
                let id = self.look_up(&value)?;
                self.graph.add_output(&name, id);
                Ok(())
            }
            other => Err(format!("'{other}' begins no line; lines are input, const, output, or names = Operator(..)")),
        }
    }

    fn node(&mut self, first: String, mut line: Cursor<'_>) -> Result<(), String> {
        let mut outputs = vec![first];
        while line.eat(',') {
            outputs.push(line.name()?);
        }
        line.expect('=')?;
        let operator = line.name()?;
        line.expect('(')?;
        let mut inputs = Vec::new();
        while !line.eat(')') {
            inputs.push(if line.eat_absent() { None } else { Some(self.look_up(&line.name()?)?) });
            if !line.eat(',') && !line.sees(')') {
                return Err("expected ',' or ')'".to_owned());
            }
        }
        let mut attrs = AttrMap::default();
        while !line.at_end() {
            let name = line.name().map_err(|_| "expected an attribute")?;
            line.expect('=')?;
            attrs.0.insert(name, line.attribute()?);
        }
        let op = Op::read(&operator, &mut attrs).ok_or_else(|| format!("no operator {operator}"))?;
        let op = op.map_err(|error| error.to_string())?;
        if let Some(name) = attrs.0.keys().next() {
            return Err(format!("{operator} has no attribute {name}"));
        }
        let types = self.graph.infer_node(&outputs[0], &op, &inputs, &[]).map_err(|error| error.to_string())?;
        if outputs.len() > types.len() {
            return Err(format!("{} outputs are named, {operator} has {}", outputs.len(), types.len()));
        }
        let typed: Vec<(&str, ValueType)> = outputs.iter().map(String::as_str).zip(types).collect();
        let ids = self.graph.add_typed_node(&outputs[0], op, &inputs, &typed);
        outputs.into_iter().zip(ids).try_for_each(|(name, id)| self.define(name, id))
    }

    fn define(&mut self, name: String, id: ValueId) -> Result<(), String> {
        match self.names.insert(name, id) {
            None => Ok(()),
            Some(_) => Err(format!("'{}' is there twice", self.graph.value(id).name)),
        }
    }

    fn look_up(&self, name: &str) -> Result<ValueId, String> {
        self.names.get(name).copied().ok_or_else(|| format!("there is no value '{name}' before this line"))
    }
}

/// What is left of a line. Every method skips the blanks in front of what it reads.
struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn sees(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.starts_with(c)
    }

    fn eat(&mut self, c: char) -> bool {
        let sees = self.sees(c);
        if sees {
            self.rest = &self.rest[c.len_utf8()..];
        }
        sees
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.eat(c) { Ok(()) } else { Err(format!("expected '{c}' before '{}'", self.rest)) }
    }

    fn at_end(&mut self) -> bool {
        self.sees('#') || self.rest.is_empty()
    }

    fn end(&mut self) -> Result<(), String> {
        if self.at_end() { Ok(()) } else { Err(format!("expected the end of the line before '{}'", self.rest)) }
    }

    fn without_comment(&self) -> &str {
        self.rest.split('#').next().unwrap_or_default()
    }

    /// A `-` that is not the beginning of a name.
    fn eat_absent(&mut self) -> bool {
        let absent = self.sees('-') && !self.rest[1..].starts_with(is_bare_char);
        absent && self.eat('-')
    }

    fn name(&mut self) -> Result<String, String> {
        if self.sees('"') {
            return self.string();
        }
        let mut end = self.rest.find(|c| !is_bare_char(c)).unwrap_or(self.rest.len());
        if self.rest[..end].ends_with(':') {
            end -= 1;
        }
        if end == 0 {
            return Err(format!("expected a name before '{}'", self.rest));
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(name.to_owned())
    }

    /// A quoted text with the escapes of Rust's `Debug`.
    fn string(&mut self) -> Result<String, String> {
        self.expect('"')?;
        let mut out = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(out);
                }
                '\\' => out.push(match chars.next().map(|(_, c)| c) {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('0') => '\0',
                    Some('u') => {
                        let code: String = chars.by_ref().map(|(_, c)| c).take_while(|&c| c != '}').skip(1).collect();
                        let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                        code.ok_or("\\u names no character")?
                    }
                    Some(c) if "\"\\'".contains(c) => c,
                    _ => return Err("unknown escape in a text".to_owned()),
                }),
                c => out.push(c),
            }
        }
        Err("a text has no closing '\"'".to_owned())
    }

    /// `name: f32[1,N,?]`.
    fn typed_name(&mut self) -> Result<(String, ValueType), String> {
        let name = self.name()?;
        self.expect(':')?;
        let dtype: DType = self.name()?.parse().map_err(|error: tilewise_tensor::UnknownDType| error.to_string())?;
        self.expect('[')?;
        let mut shape = Vec::new();
        while !self.eat(']') {
            if self.eat('*') {
                self.expect(']')?;
                return Ok((name, ValueType::unranked(dtype)));
            }
            let quoted = self.sees('"');
            let length = self.name().map_err(|_| format!("expected ']' before '{}'", self.rest))?;
            shape.push(match length.as_str() {
                "?" if !quoted => Dim::Unknown,
                text if !quoted && text.starts_with(|c: char| c.is_ascii_digit()) => {
                    Dim::Known(text.parse().map_err(|_| format!("'{text}' is no length"))?)
                }
                symbol => Dim::Symbol(symbol.into()),
            });
            if !self.eat(',') && !self.sees(']') {
                return Err(format!("expected ']' before '{}'", self.rest));
            }
        }
        Ok((name, ValueType::new(dtype, shape)))
    }

    fn attribute(&mut self) -> Result<Attr, String> {
        if self.sees('"') {
            return Ok(Attr::Str(self.string()?));
        }
        if !self.eat('[') {
            return number(&self.name()?);
        }
        let mut numbers = Vec::new();
        while !self.eat(']') {
            numbers.push(number(&self.name()?)?);
            if !self.eat(',') && !self.sees(']') {
                return Err(format!("expected ']' before '{}'", self.rest));
            }
        }
        let ints: Option<Vec<i64>> =
            numbers.iter().map(|n| if let Attr::Int(x) = n { Some(*x) } else { None }).collect();
        let float =
            |n| if let Attr::Float(x) = n { Ok(x) } else { Err("a list mixes integers and numbers".to_owned()) };
        match ints {
            Some(ints) => Ok(Attr::Ints(ints)),
            None => Ok(Attr::Floats(numbers.into_iter().map(float).collect::<Result<_, _>>()?)),
        }
    }
}

fn number(text: &str) -> Result<Attr, String> {
    let int = text.parse().map(Attr::Int);
    int.or_else(|_| text.parse().map(Attr::Float)).map_err(|_| format!("'{text}' is no number"))
}

/// The part of a constant's line after the equals sign.
fn constant(dtype: DType, shape: &[usize], text: &str) -> Result<Constant, String> {
    let (values, scale) = match text.split_once("scaled") {
        Some((values, scale)) => (values, Some(scale)),
        None => (text, None),
    };
    let base = tensor(dtype, shape, values)?;
    let Some(scale) = scale else { return Ok(Constant::Dense(base)) };
    let count = if scale.trim() == "fill" { shape.first().copied() } else { None };
    let count = count.unwrap_or_else(|| scale.split_whitespace().count());
    if dtype != DType::F32 || shape.first() != Some(&count) {
        return Err(format!(
            "{count} factors cannot scale the first axis of {dtype}{shape:?}: it takes f32 and one each"
        ));
    }
    let scale = tensor(DType::F32, &[count], scale)?;
    let scale = scale.values::<f32>().map_err(|error| error.to_string())?.into();
    Ok(Constant::Scaled { base, scale })
}

fn tensor(dtype: DType, shape: &[usize], text: &str) -> Result<Tensor, String> {
    let count = numel(shape).filter(|&n| n <= MOST_ELEMENTS).ok_or("too many elements for a text")?;
    if text.trim() == "fill" {
        return fill(dtype, shape, count);
    }
    let numbers: Vec<&str> = text.split_whitespace().collect();
    if numbers.len() != count {
        return Err(format!("expected {count} elements, got {}", numbers.len()));
    }
    fn parse<T: FromStr>(numbers: &[&str]) -> Result<Vec<T>, String> {
        numbers.iter().map(|text| text.parse().map_err(|_| format!("'{text}' is no element"))).collect()
    }
    macro_rules! typed {
        ($(($variant:ident, $rust:ty, $name:literal)),*) => {
            match dtype {
                $(DType::$variant => Tensor::from_slice(shape, &parse::<$rust>(&numbers)?),)*
                DType::Bool => {
                    let truths = parse::<u8>(&numbers)?;
                    Tensor::from_bools(shape, &truths.iter().map(|&x| x != 0).collect::<Vec<_>>())
                }
            }
        };
    }
    tilewise_tensor::for_each_dtype!(typed).map_err(|error| error.to_string())
}

/// The pattern that stands for values nobody wrote.
fn fill(dtype: DType, shape: &[usize], count: usize) -> Result<Tensor, String> {
    let unsigned = matches!(dtype, DType::U64 | DType::U32 | DType::U16 | DType::U8 | DType::Bool);
    let value = |i: usize| {
        // The finalizer of SplitMix64 (Steele, Lea and Flood, 2014) over the steps of its generator.
        let step = (i as u64 + 1).wrapping_add((count as u64) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (step ^ (step >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let hash = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let whole = ((hash >> 40) % 17) as f32 - 8.0;
        if dtype.is_float() {
            whole / 32.0
        } else if unsigned {
            whole.abs()
        } else {
            whole
        }
    };
    let values: Vec<f32> = (0..count).map(value).collect();
    let tensor = Tensor::from_slice(shape, &values).map_err(|error| error.to_string())?;
    crate::ops::convert(&tensor, dtype).map_err(|error| error.to_string())
}
