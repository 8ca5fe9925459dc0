//! Protobuf's wire format, read in place: no byte of a weight is copied.

use std::ops::Range;

use tilewise_graph::Constant;
use tilewise_tensor::Bytes;

use super::error::ImportError;

/// How deep messages may stand in each other: protobuf's own default.
const DEEPEST: u32 = 100;

/// Walks over the fields of one message.
pub(crate) struct Reader<'a> {
    whole: &'a Bytes,
    data: &'a [u8],
    at: usize,
    end: usize,
    /// How many messages may still stand in this one.
    depth: u32,
}

/// One field of a message.
pub(crate) struct Field<'a> {
    /// Its number, which is its name on the wire.
    pub(crate) number: u32,
    offset: usize,
    payload: Payload,
    message: Reader<'a>,
}

enum Payload {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Length(Range<usize>),
}

fn malformed(offset: usize, expected: impl Into<String>, found: impl Into<String>) -> ImportError {
    ImportError::Malformed { offset, expected: expected.into(), found: found.into() }
}

impl<'a> Reader<'a> {
    /// A reader of the outermost message.
    pub(crate) fn new(whole: &'a Bytes) -> Self {
        Reader { whole, data: whole, at: 0, end: whole.len(), depth: DEEPEST }
    }

    /// The next field, or nothing at the end of the message.
    pub(crate) fn field(&mut self) -> Result<Option<Field<'a>>, ImportError> {
        if self.at == self.end {
            return Ok(None);
        }
        let offset = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if number == 0 {
            return Err(malformed(offset, "a field number from 1 to 2^29 - 1", (tag >> 3).to_string()));
        }
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(self.fixed()?),
            2 => {
                let length = self.varint()?;
                Payload::Length(self.take(length)?)
            }
            5 => Payload::Fixed32(self.fixed()?),
            3 | 4 => return Err(malformed(offset, "a field of wire type 0, 1, 2 or 5", "a group")),
            other => return Err(malformed(offset, "a field of wire type 0, 1, 2 or 5", format!("wire type {other}"))),
        };
        let message = Reader { whole: self.whole, data: self.data, at: 0, end: 0, depth: self.depth };
        Ok(Some(Field { number, offset, payload, message }))
    }

    fn varint(&mut self) -> Result<u64, ImportError> {
        let start = self.at;
        let mut value = 0u64;
        // Ten groups of seven bits hold 64; the last has room for one.
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.data[..self.end].get(self.at) else {
                return Err(malformed(self.at, "another byte of a number", "the end of the message"));
            };
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed(start, "a number of at most 64 bits", "a longer one"))
    }

    fn take(&mut self, length: u64) -> Result<Range<usize>, ImportError> {
        let left = self.end - self.at;
        match usize::try_from(length) {
            Ok(length) if length <= left => {
                self.at += length;
                Ok(self.at - length..self.at)
            }
            _ => Err(malformed(self.at, format!("{length} bytes"), format!("{left} before the end of the message"))),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ImportError> {
        let range = self.take(N as u64)?;
        let mut out = [0; N];
        out.copy_from_slice(&self.data[range]);
        Ok(out)
    }
}

impl<'a> Field<'a> {
    fn wrong(&self, expected: &str) -> ImportError {
        let found = match &self.payload {
            Payload::Varint(_) => "a varint",
            Payload::Fixed64(_) => "8 bytes",
            Payload::Fixed32(_) => "4 bytes",
            Payload::Length(_) => "a byte string",
        };
        malformed(self.offset, format!("{expected} in field {}", self.number), found)
    }

    fn range(&self, expected: &str) -> Result<Range<usize>, ImportError> {
        match &self.payload {
            Payload::Length(range) => Ok(range.clone()),
            Payload::Varint(_) | Payload::Fixed64(_) | Payload::Fixed32(_) => Err(self.wrong(expected)),
        }
    }

    /// The field as a message.
    pub(crate) fn message(&self) -> Result<Reader<'a>, ImportError> {
        let Range { start, end } = self.range("a message")?;
        let Reader { whole, data, depth, .. } = self.message;
        let depth = depth.checked_sub(1).ok_or_else(|| {
            malformed(self.offset, format!("messages at most {DEEPEST} deep in each other"), "a deeper one")
        })?;
        Ok(Reader { whole, data, at: start, end, depth })
    }

    /// Each number of a repeated field, packed or not.
    fn varints(&self, mut each: impl FnMut(u64)) -> Result<(), ImportError> {
        match &self.payload {
            Payload::Varint(value) => each(*value),
            Payload::Length(range) => {
                let mut reader = Reader { at: range.start, end: range.end, ..self.message };
                while reader.at < reader.end {
                    each(reader.varint()?);
                }
            }
            Payload::Fixed64(_) | Payload::Fixed32(_) => return Err(self.wrong("integers")),
        }
        Ok(())
    }

    /// Each number of `N` bytes of a repeated field, packed or not.
    fn fixed<const N: usize>(&self, mut each: impl FnMut([u8; N])) -> Result<(), ImportError> {
        let bytes: &[u8] = match &self.payload {
            Payload::Fixed64(bytes) if N == 8 => bytes,
            Payload::Fixed32(bytes) if N == 4 => bytes,
            Payload::Length(range) => &self.message.data[range.clone()],
            Payload::Fixed64(_) | Payload::Fixed32(_) | Payload::Varint(_) => &[0],
        };
        match bytes.as_chunks::<N>() {
            (chunks, []) => chunks.iter().copied().for_each(&mut each),
            _ => return Err(self.wrong(&format!("numbers of {N} bytes each"))),
        }
        Ok(())
    }
}

/// What a field can be read into. Reading twice merges, as protobuf has it: the last number or text counts, lists
/// and messages grow.
pub(crate) trait Decode: Default {
    /// Reads the field into what is there.
    fn decode(&mut self, field: &Field<'_>) -> Result<(), ImportError>;

    /// Appends the field to a list: one item, or several where the field packs them.
    fn append(list: &mut Vec<Self>, field: &Field<'_>) -> Result<(), ImportError> {
        let mut item = Self::default();
        item.decode(field)?;
        list.push(item);
        Ok(())
    }
}

macro_rules! number {
    ($($rust:ty, $walk:ident, |$raw:ident| $convert:expr;)*) => {
        $(impl Decode for $rust {
            fn decode(&mut self, field: &Field<'_>) -> Result<(), ImportError> {
                field.$walk(|$raw| *self = $convert)
            }

            fn append(list: &mut Vec<Self>, field: &Field<'_>) -> Result<(), ImportError> {
                field.$walk(|$raw| list.push($convert))
            }
        })*
    };
}

// A negative number is sign-extended to 64 bits on the wire, also where it has 32.
number! {
    u64, varints, |raw| raw;
    i64, varints, |raw| raw as i64;
    i32, varints, |raw| raw as i32;
    f32, fixed, |raw| f32::from_le_bytes(raw);
    f64, fixed, |raw| f64::from_le_bytes(raw);
}

impl Decode for String {
    fn decode(&mut self, field: &Field<'_>) -> Result<(), ImportError> {
        let range = field.range("a text")?;
        let bytes = field.message.data[range.clone()].to_vec();
        *self = String::from_utf8(bytes)
            .map_err(|error| malformed(range.start + error.utf8_error().valid_up_to(), "UTF-8", "another byte"))?;
        Ok(())
    }
}

/// Bytes that stay where they are.
#[derive(Default, Clone)]
pub(crate) enum Blob {
    /// None are given.
    #[default]
    Missing,
    /// A part of a file, or a text.
    Held(Bytes),
    /// Those of a constant, to be written. What is scaled is computed when its turn comes.
    Constant(Constant),
}

impl Blob {
    /// The bytes that a file holds.
    pub(crate) fn held(&self) -> Option<&Bytes> {
        match self {
            Blob::Held(bytes) => Some(bytes),
            Blob::Missing | Blob::Constant(_) => None,
        }
    }
}

impl Decode for Blob {
    fn decode(&mut self, field: &Field<'_>) -> Result<(), ImportError> {
        let range = field.range("bytes")?;
        *self = field.message.whole.slice(range).map_or(Blob::Missing, Blob::Held);
        Ok(())
    }
}

/// A message that is read when it is asked for.
#[derive(Default, Clone)]
pub(crate) struct Nested(Option<(Bytes, Range<usize>, u32)>);

impl Decode for Nested {
    fn decode(&mut self, field: &Field<'_>) -> Result<(), ImportError> {
        let reader = field.message()?;
        self.0 = Some((reader.whole.clone(), reader.at..reader.end, reader.depth));
        Ok(())
    }
}

impl Nested {
    /// Reads the message.
    pub(crate) fn read<T: Message>(&self) -> Result<T, ImportError> {
        let mut message = T::default();
        if let Some((whole, range, depth)) = &self.0 {
            message.merge(Reader { whole, data: whole, at: range.start, end: range.end, depth: *depth })?;
        }
        Ok(message)
    }

    /// The message's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().and_then(|(whole, range, _)| whole.get(range.clone())).unwrap_or_default()
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(&mut self, field: &Field<'_>) -> Result<(), ImportError> {
        self.get_or_insert_default().decode(field)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(&mut self, field: &Field<'_>) -> Result<(), ImportError> {
        T::append(self, field)
    }
}

/// A message with named fields; `message!` makes them.
pub(crate) trait Message: Default {
    /// Reads all fields into what is there; unknown ones are skipped.
    fn merge(&mut self, reader: Reader<'_>) -> Result<(), ImportError>;
}

/// Declares a message that is read and written: `field: type = number`.
macro_rules! message {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $ty:ty = $number:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Default)]
        pub(crate) struct $name { $(pub(crate) $field: $ty),* }

        impl $crate::onnx::wire::Message for $name {
            fn merge(&mut self, mut reader: $crate::onnx::wire::Reader<'_>) -> Result<(), $crate::onnx::ImportError> {
                while let Some(field) = reader.field()? {
                    match field.number {
                        $($number => $crate::onnx::wire::Decode::decode(&mut self.$field, &field)?,)*
                        _ => {}
                    }
                }
                Ok(())
            }
        }

        impl $crate::onnx::wire::Decode for $name {
            fn decode(&mut self, field: &$crate::onnx::wire::Field<'_>) -> Result<(), $crate::onnx::ImportError> {
                $crate::onnx::wire::Message::merge(self, field.message()?)
            }
        }

        impl $crate::onnx::write::encode::Body for $name {
            fn body_len(&self) -> u64 {
                [$($crate::onnx::write::encode::field_len(&self.$field, $number)),*].into_iter().sum()
            }

            fn write_body(&self, sink: &mut dyn std::io::Write) -> std::io::Result<()> {
                $($crate::onnx::write::encode::write_field(&self.$field, $number, sink)?;)*
                Ok(())
            }
        }
    };
}
pub(crate) use message;
